// The gradient of exact attention in linear memory (FlashAttention, arXiv:2205.14135, algorithm 4).
// A chunk is every n-th block of 64 keys of one key-value head of one sequence, where n is the number of parts into which heads are cut.
// The dk and dv of these keys belong to the chunk alone. Each part but the first sums its share of dq apart, and `addParts` adds the
// shares in order. The cut depends on shapes only, so the result does not depend on the number of threads.
import { intArg, pointerArg } from './args';
import { gradientsIn, gradTile, loadKeys, TILE_ROW, tileColumns, weightsIn } from './attentionGradTile';
import { BLOCK, hasSequences, keyAt, ofSequence, outAt, queryAt, STRIP, VIEW } from './attentionTile';
import { tileGemm } from './tileGemm';

/**
 * attentionGrad — one part of one key-value head of one sequence.
 *
 * args as in attentionTile.ts, then 37 dq, 38 dk, 39 dv (laid out as q, k, v), 40 parts per head, 41 dq of the second part (b t h d; the
 * others follow), 42 floats of a part. Chunks: b · kvHeads · parts.
 */
export function attentionGrad(chunk: i32, args: usize, scratch: usize): void {
  const kvHeads = intArg(args, 8), parts = intArg(args, 40);
  const part = chunk % parts;
  const kvHead = (chunk / parts) % kvHeads;
  const batch = chunk / parts / kvHeads;
  if (hasSequences(args)) gradPart(ofSequence(args, batch, scratch), 0, kvHead, part, scratch + VIEW);
  else gradPart(args, batch, kvHead, part, scratch);
}

function gradPart(args: usize, batch: i32, kvHead: i32, part: i32, scratch: usize): void {
  const t = intArg(args, 5), s = intArg(args, 6), d = intArg(args, 9), parts = intArg(args, 40);
  const group = intArg(args, 7) / intArg(args, 8);
  for (let start = part * BLOCK; start < s; start += parts * BLOCK) clearKeys(args, batch, kvHead, start);
  const dqRow = <usize>(part == 0 ? intArg(args, 13) : intArg(args, 7) * d) << 2;
  for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
    const dq = part == 0
      ? pointerArg(args, 37) + queryAt(args, batch, head, 0)
      : pointerArg(args, 41) + ((<usize>(part - 1) * <usize>intArg(args, 42)) << 2) + outAt(args, batch, head, 0);
    clearRows(dq, t, d, dqRow);
    for (let start = part * BLOCK; start < s; start += parts * BLOCK) {
      loadKeys(args, batch, kvHead, start, scratch);
      for (let first = 0; first < t; first += STRIP) {
        const seen = tileColumns(args, first, start);
        if (seen == 0) continue;
        gradTile(args, batch, head, first, start, seen, true, scratch);
        addProducts(args, batch, head, first, keyAt(args, batch, kvHead, start), seen, dq + <usize>first * dqRow, dqRow, scratch);
      }
    }
  }
}

/** dv += pᵀ·dy, dq += ds·k, dk += dsᵀ·q for the tile in scratch, whose keys are `kvAt` bytes from the first. */
function addProducts(args: usize, batch: i32, head: i32, first: i32, kvAt: usize, columns: i32, dq: usize, dqRow: usize, scratch: usize): void {
  const d = intArg(args, 9);
  const rows = min(STRIP, intArg(args, 5) - first);
  const qRow = <usize>intArg(args, 13) << 2;
  const kvRow = <usize>intArg(args, 14) << 2;
  const outRow = <usize>(intArg(args, 7) * d) << 2;
  const p = weightsIn(scratch, d), ds = gradientsIn(scratch, d);
  tileGemm(columns, d, rows, p, 4, TILE_ROW, pointerArg(args, 36) + outAt(args, batch, head, first), outRow, pointerArg(args, 39) + kvAt, kvRow);
  tileGemm(rows, d, columns, ds, TILE_ROW, 4, pointerArg(args, 1) + kvAt, kvRow, dq, dqRow);
  tileGemm(columns, d, rows, ds, 4, TILE_ROW, pointerArg(args, 0) + queryAt(args, batch, head, first), qRow, pointerArg(args, 38) + kvAt, kvRow);
}

/** Zeros in dk and dv of one block of keys. */
function clearKeys(args: usize, batch: i32, kvHead: i32, start: i32): void {
  const rows = min(BLOCK, intArg(args, 6) - start), d = intArg(args, 9);
  const at = keyAt(args, batch, kvHead, start);
  const row = <usize>intArg(args, 14) << 2;
  clearRows(pointerArg(args, 38) + at, rows, d, row);
  clearRows(pointerArg(args, 39) + at, rows, d, row);
}

function clearRows(x: usize, rows: i32, columns: i32, row: usize): void {
  for (let i = 0; i < rows; i++, x += row) memory.fill(x, 0, <usize>columns << 2);
}

/**
 * addParts — y += Σ parts, in order, on 64 rows. args: 0 y, 1 parts, 2 their number, 3 rows, 4 columns, 5 floats per row of y (of a
 * part: as many as columns). Chunks: ⌈rows / 64⌉.
 */
export function addParts(chunk: i32, args: usize, scratch: usize): void {
  const rows = intArg(args, 3), columns = intArg(args, 4);
  const size = (<usize>rows * <usize>columns) << 2;
  for (let row = chunk * BLOCK; row < min(rows, (chunk + 1) * BLOCK); row++) {
    const y = pointerArg(args, 0) + ((<usize>row * <usize>intArg(args, 5)) << 2);
    let x = pointerArg(args, 1) + ((<usize>row * <usize>columns) << 2);
    for (let part = intArg(args, 2); part > 0; part--, x += size) addRow(y, x, columns);
  }
}

/** addRow — y += x. */
export function addRow(y: usize, x: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4, y += 16, x += 16) v128.store(y, f32x4.add(v128.load(y), v128.load(x)));
  for (; i < count; i++, y += 4, x += 4) store<f32>(y, load<f32>(y) + load<f32>(x));
}

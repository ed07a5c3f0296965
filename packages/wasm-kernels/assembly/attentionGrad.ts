// The gradient of exact attention in linear memory (FlashAttention, arXiv:2205.14135, algorithm 4).
// A chunk is one key-value head of one sequence: its dk and dv belong to it alone, and so do the dq of its query heads, so the
// result does not depend on how chunks are spread over threads.
import { BLOCK, exponentials, firstKey, lastKey, seenColumns, STRIP } from './attention';
import { floatArg, intArg, pointerArg } from './args';
import { sumLanes } from './exp';
import { madd, splat } from './simd';
import { tileGemm, transposeInto } from './tileGemm';

/**
 * attentionGrad — one key-value head of one sequence.
 *
 * args: 0 q, 1 k, 2 v, 3 out, 4 lse, 5 dy, 6 dq, 7 dk, 8 dv, 9 t, 10 s, 11 heads, 12 kvHeads, 13 d, 14 scale, 15 left, 16 right
 * (as in `attention`). Chunks: b · kvHeads.
 */
export function attentionGrad(chunk: i32, args: usize, scratch: usize): void {
  const t = intArg(args, 9), s = intArg(args, 10), heads = intArg(args, 11), kvHeads = intArg(args, 12), d = intArg(args, 13);
  const left = intArg(args, 15), right = intArg(args, 16);
  const group = heads / kvHeads;
  const batch = chunk / kvHeads;
  const kvHead = chunk % kvHeads;
  const qRow = <usize>(heads * d) << 2;
  const kvRow = <usize>(kvHeads * d) << 2;
  const kvStart = (<usize>(batch * s) * <usize>(kvHeads * d) + <usize>(kvHead * d)) << 2;
  const dk = pointerArg(args, 7) + kvStart;
  const dv = pointerArg(args, 8) + kvStart;
  for (let j = 0; j < s; j++) {
    memory.fill(dk + <usize>j * kvRow, 0, <usize>d << 2);
    memory.fill(dv + <usize>j * kvRow, 0, <usize>d << 2);
  }
  const keys = scratch; // d × 64, transposed
  const values = keys + (<usize>(d * BLOCK) << 2); // d × 64, transposed
  const tiles = values + (<usize>(d * BLOCK) << 2);
  const offset = s - t;
  for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
    const qStart = (<usize>(batch * t) * <usize>(heads * d) + <usize>(head * d)) << 2;
    const dq = pointerArg(args, 6) + qStart;
    for (let i = 0; i < t; i++) memory.fill(dq + <usize>i * qRow, 0, <usize>d << 2);
    const lse = pointerArg(args, 4) + (<usize>((batch * heads + head) * t) << 2);
    for (let start = 0; start < s; start += BLOCK) {
      const columns = min(BLOCK, s - start);
      transposeInto(columns, d, pointerArg(args, 1) + kvStart + <usize>start * kvRow, kvRow, keys, BLOCK << 2);
      transposeInto(columns, d, pointerArg(args, 2) + kvStart + <usize>start * kvRow, kvRow, values, BLOCK << 2);
      for (let first = 0; first < t; first += STRIP) {
        const rows = min(STRIP, t - first);
        const seen = seenColumns(first + rows - 1, offset, right, s, start, columns);
        if (seen == 0 || firstKey(first, offset, left) >= start + seen) continue;
        const at = qStart + <usize>first * qRow;
        gradTile(args, tiles, keys, values, rows, seen, first, start, at, kvStart + <usize>start * kvRow, lse + (<usize>first << 2), qRow, kvRow);
      }
    }
  }
}

/**
 * One tile: p = e^(scale·q·kᵀ − lse), dp = dy·vᵀ, ds = scale · p ∘ (dp − rowsum(dy ∘ out)); then dv += pᵀ·dy, dq += ds·k,
 * dk += dsᵀ·q. At most 16 queries with the keys they see.
 */
function gradTile(
  args: usize, tiles: usize, keys: usize, values: usize, rows: i32, columns: i32, first: i32, start: i32,
  qAt: usize, kvAt: usize, lse: usize, qRow: usize, kvRow: usize,
): void {
  const t = intArg(args, 9), s = intArg(args, 10), d = intArg(args, 13);
  const scale = floatArg(args, 14);
  const left = intArg(args, 15), right = intArg(args, 16);
  const tileRow: usize = BLOCK << 2;
  const p = tiles;
  const ds = tiles + <usize>STRIP * tileRow;
  const q = pointerArg(args, 0) + qAt;
  const dy = pointerArg(args, 5) + qAt;
  const out = pointerArg(args, 3) + qAt;
  memory.fill(tiles, 0, <usize>(2 * STRIP) * tileRow);
  tileGemm(rows, columns, d, q, qRow, 4, keys, tileRow, p, tileRow);
  tileGemm(rows, columns, d, dy, qRow, 4, values, tileRow, ds, tileRow);
  for (let i = 0; i < rows; i++) {
    const low = max(0, firstKey(first + i, s - t, left) - start);
    const high = min(columns - 1, lastKey(first + i, s - t, right, s) - start);
    const pRow = p + <usize>i * tileRow;
    const delta = dot(dy + <usize>i * qRow, out + <usize>i * qRow, d);
    gradRow(pRow, ds + <usize>i * tileRow, columns, low, high, scale, load<f32>(lse + (<usize>i << 2)), delta);
  }
  tileGemm(columns, d, rows, p, 4, tileRow, dy, qRow, pointerArg(args, 8) + kvAt, kvRow);
  tileGemm(rows, d, columns, ds, tileRow, 4, pointerArg(args, 1) + kvAt, kvRow, pointerArg(args, 6) + qAt, qRow);
  tileGemm(columns, d, rows, ds, 4, tileRow, q, qRow, pointerArg(args, 7) + kvAt, kvRow);
}

/** Scores and dp of one row become p and ds in columns low … high, and 0 elsewhere. */
function gradRow(p: usize, ds: usize, columns: i32, low: i32, high: i32, scale: f32, lse: f32, delta: f32): void {
  const from = min(low, columns);
  const to = max(from, high + 1);
  memory.fill(p, 0, <usize>from << 2);
  memory.fill(ds, 0, <usize>from << 2);
  memory.fill(p + (<usize>to << 2), 0, <usize>(columns - to) << 2);
  memory.fill(ds + (<usize>to << 2), 0, <usize>(columns - to) << 2);
  exponentials(p, from, to - 1, scale, lse);
  let j = from;
  const scale4 = splat(scale), delta4 = splat(delta);
  for (; j + 4 <= to; j += 4) {
    const at = <usize>j << 2;
    v128.store(ds + at, f32x4.mul(f32x4.mul(scale4, v128.load(p + at)), f32x4.sub(v128.load(ds + at), delta4)));
  }
  for (; j < to; j++) {
    const at = <usize>j << 2;
    store<f32>(ds + at, scale * load<f32>(p + at) * (load<f32>(ds + at) - delta));
  }
}

function dot(a: usize, b: usize, count: i32): f32 {
  let total = splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4, a += 16, b += 16) total = madd(v128.load(a), v128.load(b), total);
  let sum = sumLanes(total);
  for (; i < count; i++, a += 4, b += 4) sum += load<f32>(a) * load<f32>(b);
  return sum;
}

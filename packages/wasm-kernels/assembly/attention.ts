// Exact attention in linear memory (FlashAttention, arXiv:2205.14135; FlashAttention-2, arXiv:2307.08691), forward.
// A chunk is one block of queries of one head; scores exist only as one tile in the thread's scratch.
import { floatArg, intArg, pointerArg } from './args';
import {
  addTerms, BITS_BYTES, BLOCK, drawRow, exponentials, firstKey, hasDropout, hasTerms, keepRow, keyAt, lastKey, lseAt, outAt, queryAt, scaleRow,
  seenColumns, STRIP,
} from './attentionTile';
import { exp1, maxLanes } from './exp';
import { tileGemm, transposeInto } from './tileGemm';

/**
 * attention — one block of 64 queries of one head. args as in attentionTile.ts. Chunks: b · heads · ⌈t / 64⌉.
 */
export function attention(chunk: i32, args: usize, scratch: usize): void {
  const t = intArg(args, 5), s = intArg(args, 6), heads = intArg(args, 7), kvHeads = intArg(args, 8), d = intArg(args, 9);
  const left = intArg(args, 11), right = intArg(args, 12);
  const terms = hasTerms(args), drops = hasDropout(args);
  const scale = terms ? <f32>1 : floatArg(args, 10);
  const blocks = (t + BLOCK - 1) / BLOCK;
  const first = (chunk % blocks) * BLOCK;
  const head = (chunk / blocks) % heads;
  const batch = chunk / blocks / heads;
  const rows = min(BLOCK, t - first);
  const qRow = <usize>intArg(args, 13) << 2;
  const kvRow = <usize>intArg(args, 14) << 2;
  const outRow = <usize>(heads * d) << 2;
  const kvStart = keyAt(args, batch, head / (heads / kvHeads), 0);
  const q = pointerArg(args, 0) + queryAt(args, batch, head, first);
  const k = pointerArg(args, 1) + kvStart;
  const v = pointerArg(args, 2) + kvStart;
  const out = pointerArg(args, 3) + outAt(args, batch, head, first);

  const scores = scratch; // 16 × 64
  const maxima = scores + ((STRIP * BLOCK) << 2); // 64
  const sums = maxima + (BLOCK << 2); // 64
  const randoms = sums + (BLOCK << 2);
  const keys = randoms + BITS_BYTES; // d × 64, transposed
  for (let i = 0; i < rows; i++) {
    memory.fill(out + <usize>i * outRow, 0, <usize>d << 2);
    store<f32>(maxima + (<usize>i << 2), -Infinity);
    store<f32>(sums + (<usize>i << 2), 0);
  }
  const offset = s - t;
  const end = lastKey(first + rows - 1, offset, right, s);
  for (let start = (firstKey(first, offset, left) / BLOCK) * BLOCK; start <= end; start += BLOCK) {
    const columns = min(BLOCK, s - start);
    transposeInto(columns, d, k + <usize>start * kvRow, kvRow, keys, BLOCK << 2);
    for (let strip = 0; strip < rows; strip += STRIP) {
      const count = min(STRIP, rows - strip);
      const seen = seenColumns(first + strip + count - 1, offset, right, s, start, columns);
      if (seen == 0) continue;
      memory.fill(scores, 0, <usize>(count * BLOCK) << 2);
      tileGemm(count, seen, d, q + <usize>strip * qRow, qRow, 4, keys, BLOCK << 2, scores, BLOCK << 2);
      for (let i = strip, row = scores; i < strip + count; i++, row += BLOCK << 2) {
        const low = max(0, firstKey(first + i, offset, left) - start);
        const high = min(seen - 1, lastKey(first + i, offset, right, s) - start);
        if (terms) addTerms(args, batch, head, first + i, start, row, low, high);
        softmaxRow(row, seen, low, high, scale, maxima + (<usize>i << 2), sums + (<usize>i << 2), out + <usize>i * outRow, d);
        if (!drops || low > high) continue;
        const bits = drawRow(args, batch, head, first + i, start + low, high - low + 1, randoms);
        keepRow(args, row + (<usize>low << 2), high - low + 1, bits);
      }
      tileGemm(count, d, seen, scores, BLOCK << 2, 4, v + <usize>start * kvRow, kvRow, out + <usize>strip * outRow, outRow);
    }
  }
  const lse = pointerArg(args, 4) + lseAt(args, batch, head, first);
  for (let i = 0; i < rows; i++) {
    const at = <usize>i << 2;
    const isBlind = firstKey(first + i, offset, left) > lastKey(first + i, offset, right, s);
    store<f32>(lse + at, isBlind ? Infinity : finishRow(out + <usize>i * outRow, d, load<f32>(maxima + at), load<f32>(sums + at)));
  }
}

/** Normalises the output of one query and returns its lse; both are NaN where every visible score is −Infinity. */
function finishRow(out: usize, d: i32, maximum: f32, sum: f32): f32 {
  scaleRow(out, d, 1 / sum);
  return sum == 0 ? NaN : maximum + Mathf.log(sum);
}

/**
 * One row of a tile: scores become e^(scale·score − maximum) in columns low … high and 0 elsewhere; the running maximum, the
 * running sum and the output so far are brought to the new maximum.
 */
function softmaxRow(row: usize, columns: i32, low: i32, high: i32, scale: f32, maximum: usize, total: usize, out: usize, d: i32): void {
  if (low > high) {
    memory.fill(row, 0, <usize>columns << 2);
    return;
  }
  const before = load<f32>(maximum);
  const largest = max(before, scale * rowMaximum(row, low, high, scale < 0));
  memory.fill(row, 0, <usize>low << 2);
  const sum = exponentials(row, low, high, scale, largest == -Infinity ? 0 : largest); // −Infinity less itself would be NaN
  memory.fill(row + (<usize>(high + 1) << 2), 0, <usize>(columns - 1 - high) << 2);
  const shrink = before == largest ? <f32>1 : exp1(before - largest);
  store<f32>(maximum, largest);
  store<f32>(total, load<f32>(total) * shrink + sum);
  if (shrink != 1) scaleRow(out, d, shrink);
}

/**
 * The largest score of columns low … high, or the smallest where the scale turns the order round. A NaN may be passed over: its
 * exponential makes the row NaN all the same.
 */
function rowMaximum(row: usize, low: i32, high: i32, negative: bool): f32 {
  let j = low;
  let best = load<f32>(row + (<usize>low << 2));
  if (!negative && high - low >= 3) {
    let best4 = v128.load(row + (<usize>low << 2));
    for (j = low + 4; j + 3 <= high; j += 4) best4 = f32x4.pmax(best4, v128.load(row + (<usize>j << 2)));
    best = maxLanes(best4);
  }
  for (; j <= high; j++) {
    const x = load<f32>(row + (<usize>j << 2));
    best = negative ? min(best, x) : max(best, x);
  }
  return best;
}

// Exact attention in linear memory (FlashAttention, arXiv:2205.14135; FlashAttention-2, arXiv:2307.08691), forward.
// Tensors are b t h d. A chunk is one block of queries of one head; scores exist only as one tile in the thread's scratch.
import { floatArg, intArg, pointerArg } from './args';
import { exp, maxLanes, sumLanes } from './exp';
import { splat } from './simd';
import { tileGemm, transposeInto } from './tileGemm';

/** Queries, keys per tile. */
export const BLOCK: i32 = 64;
/** Queries that meet a tile's keys together: each such strip leaves out the keys after the last that its queries see. */
export const STRIP: i32 = 16;

/** Visible keys of query `i`: [firstKey, lastKey] ∩ [0, s); bottom-right aligned. */
// @ts-ignore: decorator
@inline
export function firstKey(i: i32, offset: i32, left: i32): i32 {
  return left < 0 ? 0 : max(0, i + offset - left);
}

// @ts-ignore: decorator
@inline
export function lastKey(i: i32, offset: i32, right: i32, s: i32): i32 {
  return right < 0 ? s - 1 : min(s - 1, i + offset + right);
}

/** seenColumns — how many of a tile's `columns` keys, from the first on, the queries up to `i` see; a multiple of 8 where it can be. */
// @ts-ignore: decorator
@inline
export function seenColumns(i: i32, offset: i32, right: i32, s: i32, start: i32, columns: i32): i32 {
  return max(0, min(columns, (lastKey(i, offset, right, s) - start + 8) & ~7));
}

/**
 * attention — one block of 64 queries of one head.
 *
 * args: 0 q, 1 k, 2 v, 3 out, 4 lse (b h t), 5 t, 6 s, 7 heads, 8 kvHeads, 9 d, 10 scale, 11 keys visible to the left of the
 * aligned position (−1: all), 12 to the right (causal: 0). Chunks: b · heads · ⌈t / 64⌉.
 */
export function attention(chunk: i32, args: usize, scratch: usize): void {
  const t = intArg(args, 5), s = intArg(args, 6), heads = intArg(args, 7), kvHeads = intArg(args, 8), d = intArg(args, 9);
  const scale = floatArg(args, 10);
  const left = intArg(args, 11), right = intArg(args, 12);
  const blocks = (t + BLOCK - 1) / BLOCK;
  const first = (chunk % blocks) * BLOCK;
  const head = (chunk / blocks) % heads;
  const batch = chunk / blocks / heads;
  const rows = min(BLOCK, t - first);
  const qRow = <usize>(heads * d) << 2;
  const kvRow = <usize>(kvHeads * d) << 2;
  const kvStart = (<usize>(batch * s) * <usize>(kvHeads * d) + <usize>((head / (heads / kvHeads)) * d)) << 2;
  const qStart = (<usize>(batch * t + first) * <usize>(heads * d) + <usize>(head * d)) << 2;
  const q = pointerArg(args, 0) + qStart;
  const k = pointerArg(args, 1) + kvStart;
  const v = pointerArg(args, 2) + kvStart;
  const out = pointerArg(args, 3) + qStart;
  const lse = pointerArg(args, 4) + (<usize>((batch * heads + head) * t + first) << 2);

  const scores = scratch; // 16 × 64
  const maxima = scores + ((STRIP * BLOCK) << 2); // 64
  const sums = maxima + (BLOCK << 2); // 64
  const keys = sums + (BLOCK << 2); // d × 64, transposed
  for (let i = 0; i < rows; i++) {
    memory.fill(out + <usize>i * qRow, 0, <usize>d << 2);
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
        softmaxRow(row, seen, low, high, scale, maxima + (<usize>i << 2), sums + (<usize>i << 2), out + <usize>i * qRow, d);
      }
      tileGemm(count, d, seen, scores, BLOCK << 2, 4, v + <usize>start * kvRow, kvRow, out + <usize>strip * qRow, qRow);
    }
  }
  for (let i = 0; i < rows; i++) {
    const sum = load<f32>(sums + (<usize>i << 2));
    const isEmpty = sum == 0;
    if (!isEmpty) scaleRow(out + <usize>i * qRow, d, 1 / sum);
    store<f32>(lse + (<usize>i << 2), isEmpty ? Infinity : load<f32>(maxima + (<usize>i << 2)) + Mathf.log(sum));
  }
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
  const sum = exponentials(row, low, high, scale, largest);
  memory.fill(row + (<usize>(high + 1) << 2), 0, <usize>(columns - 1 - high) << 2);
  const shrink = before == largest ? <f32>1 : f32x4.extract_lane(exp(splat(before - largest)), 0);
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

/** exponentials — replaces columns low … high by e^(scale·score − shift) and returns their sum. */
export function exponentials(row: usize, low: i32, high: i32, scale: f32, shift: f32): f32 {
  const scale4 = splat(scale);
  const shift4 = splat(shift);
  let total = splat(0);
  let j = low;
  for (; j + 3 <= high; j += 4) {
    const at = row + (<usize>j << 2);
    const p = exp(f32x4.sub(f32x4.mul(v128.load(at), scale4), shift4));
    v128.store(at, p);
    total = f32x4.add(total, p);
  }
  let sum = sumLanes(total);
  for (; j <= high; j++) {
    const at = row + (<usize>j << 2);
    const p = f32x4.extract_lane(exp(splat(load<f32>(at) * scale - shift)), 0);
    store<f32>(at, p);
    sum += p;
  }
  return sum;
}

export function scaleRow(row: usize, count: i32, factor: f32): void {
  const factor4 = splat(factor);
  let i = 0;
  for (; i + 4 <= count; i += 4, row += 16) v128.store(row, f32x4.mul(v128.load(row), factor4));
  for (; i < count; i++, row += 4) store<f32>(row, load<f32>(row) * factor);
}

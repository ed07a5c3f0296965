// Sums and maxima of a tensor seen as outer × reduced × inner.
import { floatArg, intArg, pointerArg } from './args';
import { maximum } from './crossEntropy';
import { sumLanes } from './exp';
import { splat } from './simd';

/** Elements added one after the other before partial sums are: bounds the rounding error of long sums. */
export const RUN: i32 = 256;

/**
 * sumRows — sums over the last axis, times a factor. args: 0 x, 1 y, 2 rows, 3 columns, 4 factor, 5 rows per chunk.
 */
export function sumRows(chunk: i32, args: usize, scratch: usize): void {
  const columns = intArg(args, 3), perChunk = intArg(args, 5);
  const end = min((chunk + 1) * perChunk, intArg(args, 2));
  for (let row = chunk * perChunk; row < end; row++) {
    const total = sumOf(pointerArg(args, 0) + ((<usize>row * <usize>columns) << 2), columns);
    store<f32>(pointerArg(args, 1) + (<usize>row << 2), total * floatArg(args, 4));
  }
}

/** sumOf — the sum of `count` floats by halves: runs of 256, then pairs of sums. */
export function sumOf(x: usize, count: i32): f32 {
  if (count > RUN) {
    const half = ((count / 2 + RUN - 1) / RUN) * RUN;
    return sumOf(x, half) + sumOf(x + (<usize>half << 2), count - half);
  }
  let total = splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16) total = f32x4.add(total, v128.load(x));
  let sum = sumLanes(total);
  for (; i < count; i++, x += 4) sum += load<f32>(x);
  return sum;
}

/** maxRows — the largest of each row; NaN wins. args: 0 x, 1 y, 2 rows, 3 columns, 4 rows per chunk. */
export function maxRows(chunk: i32, args: usize, scratch: usize): void {
  const columns = intArg(args, 3), perChunk = intArg(args, 4);
  const end = min((chunk + 1) * perChunk, intArg(args, 2));
  for (let row = chunk * perChunk; row < end; row++) {
    store<f32>(pointerArg(args, 1) + (<usize>row << 2), maximum(pointerArg(args, 0) + ((<usize>row * <usize>columns) << 2), columns));
  }
}

/**
 * maxColumns — the largest over the middle axis of outer × rows × columns, for a block of columns of one outer index; NaN wins.
 * args: 0 x, 1 y, 2 rows, 3 columns, 4 columns per chunk. Chunks: outer · ⌈columns / per chunk⌉.
 */
export function maxColumns(chunk: i32, args: usize, scratch: usize): void {
  const rows = intArg(args, 2), columns = intArg(args, 3), perChunk = intArg(args, 4);
  const blocks = (columns + perChunk - 1) / perChunk;
  const outer = chunk / blocks;
  const first = (chunk % blocks) * perChunk;
  const count = min(perChunk, columns - first);
  const stride = <usize>columns << 2;
  let x = pointerArg(args, 0) + (<usize>outer * <usize>rows * stride + (<usize>first << 2));
  const y = pointerArg(args, 1) + (<usize>outer * stride + (<usize>first << 2));
  memory.copy(y, x, <usize>count << 2);
  for (let row = 1; row < rows; row++) {
    x += stride;
    let i = 0;
    for (; i + 4 <= count; i += 4) v128.store(y + (<usize>i << 2), f32x4.max(v128.load(y + (<usize>i << 2)), v128.load(x + (<usize>i << 2))));
    for (; i < count; i++) store<f32>(y + (<usize>i << 2), max<f32>(load<f32>(y + (<usize>i << 2)), load<f32>(x + (<usize>i << 2))));
  }
}

/**
 * sumColumns — sums over the middle axis of outer × rows × columns, for a block of columns of one outer index, times a factor.
 * args: 0 x, 1 y, 2 outer, 3 rows, 4 columns, 5 factor, 6 columns per chunk (at most 1024). Chunks: outer · ⌈columns / per chunk⌉.
 */
export function sumColumns(chunk: i32, args: usize, scratch: usize): void {
  const rows = intArg(args, 3), columns = intArg(args, 4), perChunk = intArg(args, 6);
  const blocks = (columns + perChunk - 1) / perChunk;
  const outer = chunk / blocks;
  const first = (chunk % blocks) * perChunk;
  const count = min(perChunk, columns - first);
  const x = pointerArg(args, 0) + ((<usize>outer * <usize>rows * <usize>columns + <usize>first) << 2);
  const y = pointerArg(args, 1) + ((<usize>outer * <usize>columns + <usize>first) << 2);
  memory.fill(y, 0, <usize>count << 2);
  for (let start = 0; start < rows; start += RUN) {
    memory.fill(scratch, 0, <usize>count << 2);
    for (let row = start; row < min(start + RUN, rows); row++) addRow(scratch, scratch, x + ((<usize>row * <usize>columns) << 2), count);
    addRow(y, y, scratch, count);
  }
  const factor = floatArg(args, 5);
  if (factor == 1) return;
  for (let i = 0; i < count; i++) store<f32>(y + (<usize>i << 2), load<f32>(y + (<usize>i << 2)) * factor);
}

/** addRow — y = a + b; y may be one of them. */
export function addRow(y: usize, a: usize, b: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4, y += 16, a += 16, b += 16) v128.store(y, f32x4.add(v128.load(a), v128.load(b)));
  for (; i < count; i++, y += 4, a += 4, b += 4) store<f32>(y, load<f32>(a) + load<f32>(b));
}

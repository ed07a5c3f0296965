// Kernels that only move values: blocks of rows (slice, concat, split, pack) and transposition.
import { floatArg, intArg, pointerArg } from './args';

/**
 * copyBlocks — copies `count` blocks of equal length. args: 0 from, 1 to, 2 count, 3 bytes per block, 4 bytes from block to block
 * in `from`, 5 in `to`, 6 blocks per chunk.
 */
export function copyBlocks(chunk: i32, args: usize, scratch: usize): void {
  const bytes = pointerArg(args, 3), fromStride = pointerArg(args, 4), toStride = pointerArg(args, 5);
  const perChunk = intArg(args, 6);
  const end = min((chunk + 1) * perChunk, intArg(args, 2));
  for (let block = chunk * perChunk; block < end; block++) {
    memory.copy(pointerArg(args, 1) + <usize>block * toStride, pointerArg(args, 0) + <usize>block * fromStride, bytes);
  }
}

/**
 * transpose — y[a][c][b][d] = x[a][b][c][d] in blocks of d floats. args: 0 x, 1 y, 2 a, 3 b, 4 c, 5 d, 6 rows (of a·c) per chunk.
 */
export function transpose(chunk: i32, args: usize, scratch: usize): void {
  const b = intArg(args, 3), c = intArg(args, 4), d = intArg(args, 5), perChunk = intArg(args, 6);
  const end = min((chunk + 1) * perChunk, intArg(args, 2) * c);
  for (let row = chunk * perChunk; row < end; row++) {
    let from = pointerArg(args, 0) + ((<usize>(row / c) * <usize>b * <usize>c * <usize>d + <usize>(row % c) * <usize>d) << 2);
    let to = pointerArg(args, 1) + ((<usize>row * <usize>b * <usize>d) << 2);
    const step = (<usize>c * <usize>d) << 2;
    const bytes = <usize>d << 2;
    if (d == 1) for (let i = 0; i < b; i++, from += step, to += 4) store<f32>(to, load<f32>(from));
    else for (let i = 0; i < b; i++, from += step, to += bytes) memory.copy(to, from, bytes);
  }
}

/** fill — one chunk. args: 0 y, 1 size, 2 value. */
export function fill(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * 16384;
  const count = min(16384, intArg(args, 1) - first);
  let y = pointerArg(args, 0) + (<usize>first << 2);
  const value = f32x4.splat(floatArg(args, 2));
  let i = 0;
  for (; i + 4 <= count; i += 4, y += 16) v128.store(y, value);
  for (; i < count; i++, y += 4) store<f32>(y, floatArg(args, 2));
}

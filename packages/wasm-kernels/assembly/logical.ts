// Comparisons and what is chosen by them. A truth value is a byte, 0 or 1.
import { intArg, pointerArg } from './args';
import { beginRows, firstOffset, nextRow, secondOffset } from './strided';

const CHUNK: i32 = 16384;

const EQUAL: i32 = 0;
const NOT_EQUAL: i32 = 1;
const LESS: i32 = 2;
const LESS_EQUAL: i32 = 3;
const GREATER: i32 = 4;

/**
 * compare — a chunk of rows. args: 0 a, 1 b, 2 out (bytes), 3 rows, 4 elements per row, 5 operation (0 equal, 1 not equal, 2 less,
 * 3 less or equal, 4 greater, 5 greater or equal), 6 and 7 strides within a row of a and b (1, or 0: one number for the row), 8 rows
 * per chunk, 9 number of axes that the rows stand for, 10… (size, stride of a, of b) of each.
 */
export function compare(chunk: i32, args: usize, scratch: usize): void {
  const count = intArg(args, 4), operation = intArg(args, 5), perChunk = intArg(args, 8), dims = intArg(args, 9);
  const stepA = intArg(args, 6), stepB = intArg(args, 7);
  const end = min((chunk + 1) * perChunk, intArg(args, 3));
  beginRows(scratch, args, 10, dims, chunk * perChunk);
  for (let row = chunk * perChunk; row < end; row++) {
    const out = pointerArg(args, 2) + <usize>row * <usize>count;
    compareRow(pointerArg(args, 0) + firstOffset(scratch), pointerArg(args, 1) + secondOffset(scratch), out, count, operation, stepA, stepB);
    nextRow(scratch, args, 10, dims);
  }
}

function compareRow(a: usize, b: usize, out: usize, count: i32, operation: i32, stepA: i32, stepB: i32): void {
  let i = 0;
  const wideA = <usize>stepA << 4, wideB = <usize>stepB << 4;
  for (; i + 4 <= count; i += 4, a += wideA, b += wideB, out += 4) {
    const x = stepA ? v128.load(a) : v128.load32_splat(a);
    const truth = compare4(x, stepB ? v128.load(b) : v128.load32_splat(b), operation);
    const halves = i16x8.narrow_i32x4_s(truth, truth);
    store<u32>(out, i32x4.extract_lane(i8x16.narrow_i16x8_s(halves, halves), 0) & 0x01010101);
  }
  for (; i < count; i++, a += <usize>stepA << 2, b += <usize>stepB << 2, out++) {
    store<u8>(out, <u8>(i32x4.extract_lane(compare4(v128.load32_splat(a), v128.load32_splat(b), operation), 0) & 1));
  }
}

function compare4(x: v128, y: v128, operation: i32): v128 {
  if (operation == EQUAL) return f32x4.eq(x, y);
  if (operation == NOT_EQUAL) return f32x4.ne(x, y);
  if (operation == LESS) return f32x4.lt(x, y);
  if (operation == LESS_EQUAL) return f32x4.le(x, y);
  if (operation == GREATER) return f32x4.gt(x, y);
  return f32x4.ge(x, y);
}

/** select — one chunk of y = condition ? a : b. args: 0 condition (bytes), 1 a, 2 b, 3 y, 4 size. */
export function select(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 4) - first);
  const start = <usize>first << 2;
  let condition = pointerArg(args, 0) + <usize>first;
  let a = pointerArg(args, 1) + start, b = pointerArg(args, 2) + start, y = pointerArg(args, 3) + start;
  let i = 0;
  for (; i + 4 <= count; i += 4, condition += 4, a += 16, b += 16, y += 16) {
    v128.store(y, v128.bitselect(v128.load(b), v128.load(a), i32x4.eq(truths4(condition), i32x4.splat(0))));
  }
  for (; i < count; i++, condition++, a += 4, b += 4, y += 4) store<u32>(y, load<u8>(condition) ? load<u32>(a) : load<u32>(b));
}

/** truthsToFloats — one chunk of y = 0 or 1. args: 0 x (bytes), 1 y, 2 size. */
export function truthsToFloats(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 2) - first);
  let x = pointerArg(args, 0) + <usize>first, y = pointerArg(args, 1) + (<usize>first << 2);
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 4, y += 16) v128.store(y, f32x4.convert_i32x4_u(truths4(x)));
  for (; i < count; i++, x++, y += 4) store<f32>(y, <f32>load<u8>(x));
}

/** Four bytes as four words. */
// @ts-ignore: decorator
@inline
function truths4(pointer: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(pointer)));
}

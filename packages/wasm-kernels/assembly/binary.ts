// out = a ∘ b for two arrays, an array and a scalar, an array and a repeated row, or by strides.
import { intArg, pointerArg } from './args';
import { beginRows, firstOffset, nextRow, secondOffset } from './strided';

/** Elements per chunk of an elementwise job. */
const CHUNK: i32 = 16384;

const ADD: i32 = 0;
const SUB: i32 = 1;
const MUL: i32 = 2;
const DIV: i32 = 3;
const MAX: i32 = 4;
const MIN: i32 = 5;

/**
 * binary — one chunk. args: 0 a, 1 b, 2 out, 3 size, 4 operation (0 add, 1 sub, 2 mul, 3 div, 4 max, 5 min, 6 (a − b)²), 5 period of a, 6 period of b:
 * operand i is read at i mod period (the size itself: no repetition; 1: a scalar; the length of a trailing shape: broadcast).
 */
export function binary(chunk: i32, args: usize, scratch: usize): void {
  const a = pointerArg(args, 0);
  const b = pointerArg(args, 1);
  const out = pointerArg(args, 2);
  const operation = intArg(args, 4);
  const periodA = intArg(args, 5);
  const periodB = intArg(args, 6);
  let i = chunk * CHUNK;
  const end = min(i + CHUNK, intArg(args, 3));
  while (i < end) {
    const atA = i % periodA;
    const atB = i % periodB;
    let count = end - i;
    if (periodA > 1) count = min(count, periodA - atA);
    if (periodB > 1) count = min(count, periodB - atB);
    run(a + (<usize>atA << 2), b + (<usize>atB << 2), out + (<usize>i << 2), count, operation, i32(periodA == 1), i32(periodB == 1));
    i += count;
  }
}

/**
 * binaryStrided — a chunk of rows. args: 0 a, 1 b, 2 out, 3 rows, 4 floats per row, 5 operation, 6 and 7 strides within a row of a and
 * b (1, or 0: one number for the row), 8 rows per chunk, 9 number of axes that the rows stand for, 10… (size, stride of a, of b) of each.
 */
export function binaryStrided(chunk: i32, args: usize, scratch: usize): void {
  const count = intArg(args, 4), operation = intArg(args, 5), perChunk = intArg(args, 8), dims = intArg(args, 9);
  const scalarA = i32(intArg(args, 6) == 0), scalarB = i32(intArg(args, 7) == 0);
  const end = min((chunk + 1) * perChunk, intArg(args, 3));
  beginRows(scratch, args, 10, dims, chunk * perChunk);
  for (let row = chunk * perChunk; row < end; row++) {
    const out = pointerArg(args, 2) + ((<usize>row * <usize>count) << 2);
    run(pointerArg(args, 0) + firstOffset(scratch), pointerArg(args, 1) + secondOffset(scratch), out, count, operation, scalarA, scalarB);
    nextRow(scratch, args, 10, dims);
  }
}

/** run — `count` contiguous results; a scalar operand is not advanced. */
function run(a: usize, b: usize, out: usize, count: i32, operation: i32, scalarA: i32, scalarB: i32): void {
  if (operation == ADD) each<Add>(a, b, out, count, scalarA, scalarB);
  else if (operation == SUB) each<Sub>(a, b, out, count, scalarA, scalarB);
  else if (operation == MUL) each<Mul>(a, b, out, count, scalarA, scalarB);
  else if (operation == DIV) each<Div>(a, b, out, count, scalarA, scalarB);
  else if (operation == MAX) each<Max>(a, b, out, count, scalarA, scalarB);
  else if (operation == MIN) each<Min>(a, b, out, count, scalarA, scalarB);
  else each<SquaredDifference>(a, b, out, count, scalarA, scalarB);
}

// Names for the operations: each<O> is compiled once per O, with the operation chosen at compile time.
class Add {}
class Sub {}
class Mul {}
class Div {}
class Max {}
class Min {}
class SquaredDifference {}

// @ts-ignore: decorator
@inline
function apply<O>(x: v128, y: v128): v128 {
  if (idof<O>() == idof<Add>()) return f32x4.add(x, y);
  if (idof<O>() == idof<Sub>()) return f32x4.sub(x, y);
  if (idof<O>() == idof<Mul>()) return f32x4.mul(x, y);
  if (idof<O>() == idof<Div>()) return f32x4.div(x, y);
  if (idof<O>() == idof<Max>()) return f32x4.max(x, y);
  if (idof<O>() == idof<Min>()) return f32x4.min(x, y);
  const difference = f32x4.sub(x, y);
  return f32x4.mul(difference, difference);
}

function each<O>(a: usize, b: usize, out: usize, count: i32, scalarA: i32, scalarB: i32): void {
  let i = 0;
  if (scalarA) {
    const x = v128.load_splat<f32>(a);
    for (; i + 4 <= count; i += 4, b += 16, out += 16) v128.store(out, apply<O>(x, v128.load(b)));
  } else if (scalarB) {
    const y = v128.load_splat<f32>(b);
    for (; i + 4 <= count; i += 4, a += 16, out += 16) v128.store(out, apply<O>(v128.load(a), y));
  } else {
    for (; i + 4 <= count; i += 4, a += 16, b += 16, out += 16) v128.store(out, apply<O>(v128.load(a), v128.load(b)));
  }
  const stepA: usize = scalarA ? 0 : 4;
  const stepB: usize = scalarB ? 0 : 4;
  for (; i < count; i++, a += stepA, b += stepB, out += 4) {
    store<f32>(out, f32x4.extract_lane(apply<O>(v128.load_splat<f32>(a), v128.load_splat<f32>(b)), 0));
  }
}

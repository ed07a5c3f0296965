import {
  Add, All, Any, Cast, ClipByValue, Concat, Cos, Equal, Greater, IsFinite, IsInf, IsNan, Log, LogicalAnd, LogicalOr, Max, Maximum, Min, Minimum, Multiply, Neg, PadV2, Select, Sin, Slice,
  scalar, SquaredDifference, Square, Sub, Sum, Transpose,
} from '@tensorflow/tfjs-core';
import type { Draw, Row } from '@evenkeel/wasm-kernels/battery';

const ELEMENTS = 70_001;
const elementwise = (draw: Draw, n: number) => ({ x: draw.floats(n) });
const exact = { rtol: 0, atol: 0 };

const unary: Row[] = [
  { kernel: Log, inputs: (draw, n) => ({ x: draw.positive(n) }), large: ELEMENTS },
  { kernel: Sin, inputs: elementwise, large: ELEMENTS },
  { kernel: Cos, inputs: elementwise, large: ELEMENTS },
  { kernel: ClipByValue, attrs: { clipValueMin: -0.5, clipValueMax: 0.75 }, inputs: elementwise, large: ELEMENTS, tolerance: exact },
  { kernel: IsFinite, inputs: elementwise, large: ELEMENTS },
  { kernel: IsNan, isZero: true, inputs: elementwise, large: ELEMENTS },
  { kernel: IsInf, isZero: true, inputs: elementwise, large: ELEMENTS },
  ...[Neg, Square].map((kernel): Row => ({ kernel, form: 'of int32', inputs: (draw, n) => ({ x: draw.integers(30_000, n) }), large: ELEMENTS })),
  { kernel: Cast, form: 'bool to int32', attrs: { dtype: 'int32' }, large: ELEMENTS, inputs: (draw, n) => ({ x: draw.bools(n) }) },
  { kernel: Cast, form: 'int32 to bool', attrs: { dtype: 'bool' }, large: ELEMENTS, inputs: (draw, n) => ({ x: draw.integers(3, n) }) },
  { kernel: Cast, form: 'float32 to bool', attrs: { dtype: 'bool' }, large: ELEMENTS, inputs: elementwise },
];

const binary: Row[] = [Add, Sub, Multiply, Maximum, Minimum, SquaredDifference, Equal, Greater].flatMap((kernel): Row[] => [
  { kernel, form: 'of int32', tolerance: exact, large: ELEMENTS, inputs: (draw, n) => ({ a: draw.integers(40_000, n), b: draw.integers(40_000, n) }), isZero: kernel === Equal },
  { kernel, form: 'of int32 that broadcast', tolerance: exact, large: 5001, inputs: (draw, n) => ({ a: draw.integers(9, n, 1, 3), b: draw.integers(9, 5, 1) }) },
]);

const logical: Row[] = [LogicalAnd, LogicalOr].map((kernel): Row => ({ kernel, large: 5001, inputs: (draw, n) => ({ a: draw.bools(n, 1, 3), b: draw.bools(5, 1) }) }));

/** Lengths that are whole vectors, so that the vector forms run. */
const vectors: Row[] = [Add, Maximum, Greater].flatMap((kernel): Row[] => [
  { kernel, form: 'of a tensor and a row of vectors', large: 5001, inputs: (draw, n) => ({ a: draw.floats(n, 8), b: draw.floats(8) }) },
  { kernel, form: 'of a row of vectors and a tensor', large: 5001, inputs: (draw, n) => ({ a: draw.floats(1, 3, 4), b: draw.floats(n, 3, 4) }) },
  { kernel, form: 'of a tensor and a column', large: 5001, inputs: (draw, n) => ({ a: draw.floats(n, 3, 4), b: draw.floats(n, 1, 1) }) },
  { kernel, form: 'of a column and a tensor', large: 5001, inputs: (draw, n) => ({ a: draw.floats(2, n, 1), b: draw.floats(2, n, 4) }) },
  { kernel, form: 'of rank 6', large: 501, inputs: (draw, n) => ({ a: draw.floats(2, 1, n, 1, 2, 1), b: draw.floats(3, 1, 2, 1, 3) }) },
]);

const AXES: [string, number | number[]][] = [['the last axis', 2], ['the first axis', 0], ['the middle axis', [1]], ['all axes', [0, 1, 2]], ['scattered axes', [0, 2]], ['no axis', []]];

const reductions: Row[] = AXES.flatMap(([form, axis]): Row[] => [
  { kernel: Min, form: `over ${form}`, attrs: { axis, keepDims: false }, large: 130, inputs: (draw, n) => ({ x: draw.floats(7, Math.max(n, 1), n + 1) }) },
  ...[Sum, Max, Min].map((kernel): Row => ({
    kernel, form: `of int32 over ${form}`, attrs: { [kernel === Max ? 'reductionIndices' : 'axis']: axis, keepDims: true }, large: 130, tolerance: exact, isZero: kernel === Min,
    inputs: (draw, n) => ({ x: draw.integers(1 << 24, 7, Math.max(n, 1), n + 1) }),
  })),
  ...[Any, All].map((kernel): Row => ({ kernel, form: `over ${form}`, attrs: { axis, keepDims: false }, large: 130, isZero: kernel === All, inputs: (draw, n) => ({ x: draw.bools(2, Math.max(n, 1), 3) }) })),
]);

const moves: Row[] = [
  ...[[1, 0, 2], [2, 1, 0], [0, 2, 1], [1, 2, 0]].flatMap((perm): Row[] => [
    { kernel: Transpose, form: `of whole tiles by ${perm.join()}`, attrs: { perm }, large: 500, inputs: (draw, n) => ({ x: draw.floats(32, n, 64) }) },
    { kernel: Transpose, form: `of int32 by ${perm.join()}`, attrs: { perm }, large: 500, inputs: (draw, n) => ({ x: draw.integers(1 << 30, 9, n, 4) }) },
    { kernel: Transpose, form: `of bool by ${perm.join()}`, attrs: { perm }, large: 500, inputs: (draw, n) => ({ x: draw.bools(3, n, 4) }) },
  ]),
  { kernel: Transpose, form: 'of rank 6', attrs: { perm: [5, 3, 1, 0, 4, 2] }, large: 50, inputs: (draw, n) => ({ x: draw.floats(2, 3, n, 2, 3, 2) }) },
  { kernel: Slice, form: 'of vectors', attrs: { begin: [1, 0, 4], size: [1, -1, 8] }, large: 5001, inputs: (draw, n) => ({ x: draw.floats(2, n, 12) }) },
  { kernel: Concat, form: 'of vectors', attrs: { axis: 2 }, large: 5001, inputs: (draw, n) => ({ 0: draw.floats(2, n, 12), 1: draw.floats(2, n, 4) }) },
  { kernel: Concat, form: 'of int32', attrs: { axis: 0 }, large: 5001, inputs: (draw, n) => ({ 0: draw.integers(1 << 30, n, 3), 1: draw.integers(5, 2, 3) }) },
  { kernel: PadV2, form: 'of int32', attrs: { paddings: [[0, 1], [2, 0]], constantValue: 7 }, large: 5001, inputs: (draw, n) => ({ x: draw.integers(1 << 30, n, 3) }) },
  { kernel: Select, form: 'of int32', large: ELEMENTS, inputs: (draw, n) => ({ condition: draw.bools(n), t: draw.integers(99, n), e: draw.integers(99, n) }) },
];

const scalars: Row[] = [{
  kernel: 'evenkeel/stepScalar', inputs: () => ({}), attrs: (n: number) => ({ value: n + 0.25 }), large: 1,
  reference: (_, attrs) => scalar((attrs as unknown as { value: number }).value),
}];

/** GPU_ROWS — forms of kernels that only the GPU has, or has in several programs. */
export const GPU_ROWS: readonly Row[] = [...unary, ...binary, ...logical, ...vectors, ...reductions, ...moves, ...scalars];

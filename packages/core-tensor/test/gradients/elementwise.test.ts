import * as tf from '@tensorflow/tfjs-core';
import { gradientTests, type OpCase, type Tensors, type Values64 } from './battery.ts';
import { awayFromZero, between, normal, positive } from './points.ts';

type Unary = (x: tf.Tensor) => tf.Tensor;

/** One tensor in, one out, element by element, with the function in float64. */
const unary = (name: string, f: Unary, f64: (x: number) => number, x: () => tf.Tensor, curved = true): OpCase => ({
  name: `${name}(x)`,
  op: ({ x: input }) => f(input as tf.Tensor),
  inputs: () => ({ x: x() }),
  oracle64: ({ x: values }) => (values as Float64Array).map(f64),
  curved,
});

/** Gauss error function by its Maclaurin series, exact to float64 for |x| < 3. */
function erf(x: number): number {
  let [term, total] = [x, x];
  for (let n = 1; n < 100; n++) {
    term *= (-x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const [ALPHA, SCALE] = [1.6732632423543772, 1.0507009873554805];
const shape = [3, 5];

gradientTests([
  unary('neg', tf.neg, (x) => -x, () => normal(shape), false),
  unary('square', tf.square, (x) => x * x, () => normal(shape)),
  unary('sqrt', tf.sqrt, Math.sqrt, () => positive(shape)),
  unary('rsqrt', tf.rsqrt, (x) => 1 / Math.sqrt(x), () => positive(shape)),
  unary('reciprocal', tf.reciprocal, (x) => 1 / x, () => positive(shape)),
  unary('abs', tf.abs, Math.abs, () => awayFromZero(shape), false),
  unary('exp', tf.exp, Math.exp, () => normal(shape)),
  unary('expm1', tf.expm1, Math.expm1, () => normal(shape)),
  unary('log', tf.log, Math.log, () => positive(shape)),
  unary('log1p', tf.log1p, Math.log1p, () => positive(shape)),
  unary('erf', tf.erf, erf, () => between(shape, -2, 2)),
  unary('sin', tf.sin, Math.sin, () => normal(shape)),
  unary('cos', tf.cos, Math.cos, () => normal(shape)),
  unary('tan', tf.tan, Math.tan, () => between(shape, -1, 1)),
  unary('sinh', tf.sinh, Math.sinh, () => normal(shape)),
  unary('cosh', tf.cosh, Math.cosh, () => normal(shape)),
  unary('tanh', tf.tanh, Math.tanh, () => normal(shape)),
  unary('asin', tf.asin, Math.asin, () => between(shape, -0.8, 0.8)),
  unary('acos', tf.acos, Math.acos, () => between(shape, -0.8, 0.8)),
  unary('atan', tf.atan, Math.atan, () => normal(shape)),
  unary('asinh', tf.asinh, Math.asinh, () => normal(shape)),
  unary('acosh', tf.acosh, Math.acosh, () => between(shape, 1.3, 4)),
  unary('atanh', tf.atanh, Math.atanh, () => between(shape, -0.8, 0.8)),
  unary('relu', tf.relu, (x) => Math.max(x, 0), () => awayFromZero(shape), false),
  unary('relu6', tf.relu6, (x) => Math.min(Math.max(x, 0), 6), () => tf.concat([awayFromZero([5]), tf.tensor([5.5, 6.5, 9])]), false),
  unary('leakyRelu', (x) => tf.leakyRelu(x, 0.1), (x) => (x > 0 ? x : 0.1 * x), () => awayFromZero(shape), false),
  unary('leakyRelu with a negative slope', (x) => tf.leakyRelu(x, -0.5), (x) => (x > 0 ? x : -0.5 * x), () => awayFromZero(shape), false),
  unary('elu', tf.elu, (x) => (x > 0 ? x : Math.expm1(x)), () => awayFromZero(shape)),
  unary('selu', tf.selu, (x) => SCALE * (x > 0 ? x : ALPHA * Math.expm1(x)), () => awayFromZero(shape)),
  unary('sigmoid', tf.sigmoid, sigmoid, () => normal(shape)),
  unary('softplus', tf.softplus, (x) => Math.log1p(Math.exp(x)), () => normal(shape)),
  unary('clipByValue', (x) => tf.clipByValue(x, -0.15, 0.9), (x) => Math.min(Math.max(x, -0.15), 0.9),
    () => tf.tensor([-2, -0.3, -0.1, 0.05, 0.5, 0.8, 1, 3]), false),
  unary('pow with an int32 exponent', (x) => tf.pow(x, tf.scalar(3, 'int32')), (x) => x ** 3, () => awayFromZero(shape)),
  unary('x * x', (x) => tf.mul(x, x), (x) => x * x, () => normal(shape)),
  unary('cast to float32', (x) => tf.cast(x, 'float32'), (x) => x, () => normal(shape), false),
  unary('clone', tf.clone, (x) => x, () => normal(shape), false),
  unary('silu', (x) => tf.mul(x, tf.sigmoid(x)), (x) => x * sigmoid(x), () => normal(shape)),
]);

type Binary = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

/** Two tensors that broadcast to `3 4 5` in every way. */
const SHAPES: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[3, 4, 5], [3, 4, 5]], [[3, 4, 5], [5]], [[], [3, 4, 5]], [[3, 1, 5], [4, 1]], [[1, 4, 1], [3, 1, 5]],
];

/** The element of a tensor of `from` that stands at flat index `index` of the broadcast result `to`. */
function broadcastIndex(index: number, to: readonly number[], from: readonly number[]): number {
  let [rest, flat, stride] = [index, 0, 1];
  for (let axis = 1; axis <= to.length; axis++) {
    const [size, own] = [to[to.length - axis] as number, from[from.length - axis] ?? 1];
    if (own !== 1) flat += (rest % size) * stride;
    stride *= own;
    rest = Math.floor(rest / size);
  }
  return flat;
}

function binary(name: string, f: Binary, f64: (a: number, b: number) => number, make: (shape: readonly number[], seed: number) => tf.Tensor, curved: boolean): OpCase[] {
  return SHAPES.map(([shapeA, shapeB]) => ({
    name: `${name}([${shapeA.join(', ')}], [${shapeB.join(', ')}])`,
    op: ({ a, b }: Tensors) => f(a as tf.Tensor, b as tf.Tensor),
    inputs: () => ({ a: make(shapeA, 5), b: make(shapeB, 6) }),
    oracle64: ({ a, b }: Values64) => {
      const shapeOut = tf.broadcast_util.assertAndGetBroadcastShape([...shapeA], [...shapeB]);
      const size = shapeOut.reduce((product, length) => product * length, 1);
      return Float64Array.from({ length: size }, (_, i) =>
        f64((a as Float64Array)[broadcastIndex(i, shapeOut, shapeA)] as number, (b as Float64Array)[broadcastIndex(i, shapeOut, shapeB)] as number));
    },
    curved,
  }));
}

/** Far enough apart that no difference step changes which is larger. */
const apart = (shapeIn: readonly number[], seed: number): tf.Tensor =>
  tf.add(tf.round(tf.mul(normal(shapeIn, seed), 2)), seed === 5 ? 0.3 : 0.1);

gradientTests([
  ...binary('add', tf.add, (a, b) => a + b, normal, false),
  ...binary('sub', tf.sub, (a, b) => a - b, normal, false),
  ...binary('mul', tf.mul, (a, b) => a * b, normal, true),
  ...binary('div', tf.div, (a, b) => a / b, positive, true),
  ...binary('squaredDifference', tf.squaredDifference, (a, b) => (a - b) ** 2, normal, true),
  ...binary('maximum', tf.maximum, Math.max, apart, false),
  ...binary('minimum', tf.minimum, Math.min, apart, false),
  ...binary('pow', tf.pow, (a, b) => a ** b, positive, true),
  ...binary('atan2', tf.atan2, Math.atan2, positive, true),
  ...binary('mod', tf.mod, (a, b) => a - b * Math.floor(a / b), (s, seed) => (seed === 5 ? between(s, 1.1, 1.9) : between(s, 0.9, 1)), false),
  ...binary('prelu', tf.prelu, (x, alpha) => (x >= 0 ? x : alpha * x), (s, seed) => awayFromZero(s, seed), true).slice(0, 2),
  {
    name: 'addN([a, b, c])',
    op: ({ a, b, c }) => tf.addN([a, b, c] as tf.Tensor[]),
    inputs: () => ({ a: normal(shape, 1), b: normal(shape, 2), c: normal(shape, 3) }),
    oracle64: ({ a, b, c }) => (a as Float64Array).map((x, i) => x + ((b as Float64Array)[i] as number) + ((c as Float64Array)[i] as number)),
  },
]);

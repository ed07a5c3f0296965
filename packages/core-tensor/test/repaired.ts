/**
 * The derivatives that tfjs 4.22 gets wrong or lacks and we repair: one table for two tests, of which one (`stock.test.ts`) runs
 * without us. Nothing here may import `@evenkeel/core-tensor`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { randomArray } from '@evenkeel/testing';
import { awayFromZero, distinct, normal } from './gradients/points.ts';

export type Repaired = {
  readonly name: string;
  readonly f: (x: tf.Tensor) => tf.Tensor;
  readonly x: () => tf.Tensor;
  /** 1: the gradient itself; 2: the second derivatives. */
  readonly order: 1 | 2;
};

const int = (values: number[], shape: number[]): tf.Tensor => tf.tensor(values, shape, 'int32');
const first = (name: string, shape: number[], f: (x: tf.Tensor) => tf.Tensor, make = normal): Repaired => ({ name, f, x: () => make(shape), order: 1 });
const second = (name: string, shape: number[], f: (x: tf.Tensor) => tf.Tensor, make = normal): Repaired => ({ name, f, x: () => make(shape), order: 2 });
const image = (x: tf.Tensor): tf.Tensor4D => x as tf.Tensor4D;

export const REPAIRED: readonly Repaired[] = [
  first('matMul with a broadcast weight', [1, 4, 3], (w) => tf.matMul(normal([5, 2, 4], 7), w)),
  first('matMul with a broadcast left operand', [4, 3], (a) => tf.matMul(a, normal([5, 3, 2], 7))),
  first('cumsum of a square along axis 0', [3, 3], (x) => tf.cumsum(x, 0)),
  first('cumsum along axis 0', [3, 4], (x) => tf.cumsum(x, 0)),
  first('cumsum of a batch along axis 1', [2, 3, 4], (x) => tf.cumsum(x, 1, true, true)),
  first('cumprod', [3, 4], (x) => tf.cumprod(x, 1)),
  first('einsum', [3, 4], (x) => tf.einsum('ij,jk->ik', x, normal([4, 5], 7))),
  first('stridedSlice', [5, 4], (x) => tf.stridedSlice(x, [0, 1], [5, 4], [2, 1])),
  first('topk', [3, 5], (x) => tf.topk(x, 2).values, distinct),
  first('gatherND', [3, 4], (x) => tf.gatherND(x, int([0, 1, 2, 3], [2, 2]))),
  first('scatterND', [3, 2], (x) => tf.scatterND(int([0, 4, 0], [3, 1]), x, [5, 2])),
  first('bandPart', [4, 4], (x) => tf.linalg.bandPart(x, 1, 0)),
  first('batchNorm without offset and scale', [2, 3, 3, 4], (x) => tf.batchNorm(image(x), tf.zeros([4]), tf.ones([4]))),
  first('mirrorPad', [3, 4], (x) => tf.mirrorPad(x, [[1, 1], [2, 1]], 'reflect')),
  first('avgPool with padding', [1, 4, 4, 1], (x) => tf.avgPool(image(x), 3, 1, 'same')),
  first('resizeBilinear with half-pixel centres', [1, 4, 4, 1], (x) => tf.image.resizeBilinear(image(x), [6, 6], false, true)),
  first('resizeBilinear of an oblong image', [1, 4, 3, 1], (x) => tf.image.resizeBilinear(image(x), [6, 6])),
  first('conv2d with dilation', [1, 6, 6, 1], (x) => tf.conv2d(image(x), tf.ones([2, 2, 1, 1]), 1, 'valid', 'NHWC', 2)),
  first('depthToSpace', [1, 2, 2, 4], (x) => tf.depthToSpace(image(x), 2)),
  first('floorDiv', [3, 4], (x) => tf.add(x, tf.floorDiv(x, 0.3))),
  second('exp', [3, 4], tf.exp),
  second('sigmoid', [3, 4], tf.sigmoid),
  second('tanh', [3, 4], tf.tanh),
  second('silu', [3, 4], (x) => tf.mul(x, tf.sigmoid(x))),
  second('softmax', [3, 4], (x) => tf.softmax(x)),
  second('logSoftmax', [3, 4], (x) => tf.logSoftmax(x)),
  second('where', [3, 4], (x) => tf.where(tf.greater(x, 0), tf.square(x), tf.sin(x)), awayFromZero),
  second('max', [3, 4], (x) => tf.square(tf.max(x, 1)), distinct),
  second('logSumExp', [3, 4], (x) => tf.logSumExp(x, 1)),
  second('maximum', [3, 4], (x) => tf.square(tf.maximum(0.05, x)), awayFromZero),
  second('minimum', [3, 4], (x) => tf.square(tf.minimum(x, 0.05)), awayFromZero),
  second('clipByValue', [3, 4], (x) => tf.square(tf.clipByValue(x, -0.1, 3)), awayFromZero),
  second('leakyRelu', [3, 4], (x) => tf.square(tf.leakyRelu(x)), awayFromZero),
  second('elu', [3, 4], tf.elu, awayFromZero),
  second('selu', [3, 4], tf.selu, awayFromZero),
  second('prod', [3, 4], (x) => tf.prod(x, 1)),
  second('avgPool', [1, 4, 4, 1], (x) => tf.square(tf.avgPool(image(x), 2, 2, 'valid'))),
  second('maxPool', [1, 4, 4, 1], (x) => tf.square(tf.maxPool(image(x), 2, 2, 'valid')), distinct),
  second('conv2d in its filter', [2, 2, 1, 1], (w) => tf.square(tf.conv2d(normal([1, 4, 4, 1], 7) as tf.Tensor4D, image(w), 1, 'valid'))),
  second('depthwiseConv2d', [1, 4, 4, 2], (x) => tf.square(tf.depthwiseConv2d(image(x), normal([2, 2, 2, 1], 7) as tf.Tensor4D, 1, 'valid'))),
  second('einsum', [3, 4], (x) => tf.square(tf.einsum('ij,jk->ik', x, normal([4, 5], 7)))),
  second('gatherND', [3, 4], (x) => tf.square(tf.gatherND(x, int([0, 1, 2, 3], [2, 2])))),
];

/** GradOf — how a library differentiates a scalar function. */
export type GradOf = (f: (x: tf.Tensor) => tf.Tensor) => (x: tf.Tensor) => tf.Tensor;

/**
 * derivativeError — how far the derivative of Σ c·f(x) is from central differences, relative to its size, at worst over some
 * random directions. For order 2 the derivative is H·v and the differences are those of the library's own gradient.
 */
export function derivativeError({ f, x: make, order }: Repaired, gradOf: GradOf): number {
  const inTidy = (): number => {
    const x = make();
    const loss = (at: tf.Tensor): tf.Tensor => weighted(f(at), 4711);
    const scalar = order === 1 ? loss : (at: tf.Tensor): tf.Tensor => weighted(gradOf(loss)(at), 815);
    const derivative = Float64Array.from(gradOf(scalar)(x).dataSync());
    const errors = [1, 2, 3].map((seed) => {
      const direction = randomArray(x.size, { seed });
      const step = tf.mul(tf.tensor(direction, x.shape), 5e-3);
      const slope = (number(scalar(tf.add(x, step))) - number(scalar(tf.sub(x, step)))) / 1e-2;
      return Math.abs(slope - derivative.reduce((sum, value, i) => sum + value * (direction[i] as number), 0));
    });
    return Math.max(...errors) / Math.hypot(...derivative, 1e-6);
  };
  return tf.tidy(inTidy);
}

const weighted = (y: tf.Tensor, seed: number): tf.Tensor => tf.sum(tf.mul(y, tf.tensor(randomArray(y.size, { seed }), y.shape)));
const number = (x: tf.Tensor): number => x.dataSync()[0] as number;

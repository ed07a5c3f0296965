import * as tf from '@tensorflow/tfjs-core';
import { expectClose } from '@evenkeel/testing';
import { it } from 'vitest';
import { gradientTests, type OpCase } from './battery.ts';
import { distinct, normal } from './points.ts';

type Reduce = (x: tf.Tensor, axis?: number | number[], keepDims?: boolean) => tf.Tensor;

const reduction = (name: string, f: Reduce, make: (shape: readonly number[]) => tf.Tensor, curved: boolean): OpCase[] => [
  { args: 'all axes', op: (x: tf.Tensor) => f(x) },
  { args: 'axis 0', op: (x: tf.Tensor) => f(x, 0) },
  { args: 'axis -1', op: (x: tf.Tensor) => f(x, -1) },
  { args: 'axes 0 and 2, kept', op: (x: tf.Tensor) => f(x, [0, 2], true) },
].map(({ args, op }) => ({
  name: `${name}(x) over ${args}`, op: ({ x }) => op(x as tf.Tensor), inputs: () => ({ x: make([3, 1, 5]) }), curved,
}));

const scan = (name: string, f: (x: tf.Tensor, axis: number, exclusive: boolean, reverse: boolean) => tf.Tensor, curved: boolean): OpCase[] =>
  [0, 1, 2].flatMap((axis) => [false, true].flatMap((exclusive) => [false, true].map((reverse): OpCase => ({
    name: `${name}(x) along axis ${axis}${exclusive ? ', exclusive' : ''}${reverse ? ', reverse' : ''}`,
    op: ({ x }) => f(x as tf.Tensor, axis, exclusive, reverse),
    inputs: () => ({ x: normal([3, 3, 4]) }),
    curved,
  }))));

const softmax64 = (x: Float64Array, columns: number): Float64Array => x.map((value, i) => {
  const row = x.subarray(i - (i % columns), i - (i % columns) + columns);
  return Math.exp(value) / row.reduce((sum, other) => sum + Math.exp(other), 0);
});

gradientTests([
  ...reduction('sum', tf.sum, normal, false),
  ...reduction('mean', tf.mean, normal, false),
  ...reduction('max', tf.max, distinct, false),
  ...reduction('min', tf.min, distinct, false),
  ...reduction('logSumExp', tf.logSumExp, normal, true),
  ...reduction('euclideanNorm', (x, axis, keepDims) => tf.norm(x, 2, axis ?? undefined, keepDims), normal, true).slice(1, 3),
  ...reduction('variance', (x, axis, keepDims) => tf.moments(x, axis, keepDims).variance, normal, true),
  ...scan('cumsum', (x, axis, exclusive, reverse) => tf.cumsum(x, axis, exclusive, reverse), false),
  {
    name: 'softmax(x)', op: ({ x }) => tf.softmax(x as tf.Tensor), inputs: () => ({ x: normal([3, 5]) }), curved: true,
    oracle64: ({ x }) => softmax64(x as Float64Array, 5),
  },
  {
    name: 'logSoftmax(x)', op: ({ x }) => tf.logSoftmax(x as tf.Tensor), inputs: () => ({ x: normal([3, 5]) }), curved: true,
    oracle64: ({ x }) => softmax64(x as Float64Array, 5).map(Math.log),
  },
  { name: 'softmax(x) of one column', op: ({ x }) => tf.add(tf.softmax(x as tf.Tensor), x as tf.Tensor), inputs: () => ({ x: normal([3, 1]) }) },
]);

it('max(x) shares its gradient between equal elements', async () => {
  await expectClose(tf.grad((x: tf.Tensor) => tf.sum(tf.max(x, -1)))(tf.tensor([[2, 1, 2], [0, 3, 1]])), [[0.5, 0, 0.5], [0, 1, 0]]);
});

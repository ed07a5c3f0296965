import * as tf from '@tensorflow/tfjs-core';
import { gradientTests, type OpCase } from './battery.ts';
import { awayFromZero } from './points.ts';

/** Rows with no zero, one zero and two zeros: division by x would be wrong in two of them. */
const withZeros = (shape: readonly number[]): tf.Tensor => {
  const values = awayFromZero(shape, 3).dataSync().slice();
  for (const index of [1, 7, 8]) if (index < values.length) values[index] = 0;
  return tf.tensor(values, [...shape]);
};

const along = (name: string, shape: readonly number[], op: (x: tf.Tensor) => tf.Tensor): OpCase[] => [
  { name, op: ({ x }) => op(x as tf.Tensor), inputs: () => ({ x: awayFromZero(shape, 3) }), curved: true },
  { name: `${name} with zeros`, op: ({ x }) => op(x as tf.Tensor), inputs: () => ({ x: withZeros(shape) }), curved: true },
];

gradientTests([
  ...along('prod(x) along the last axis', [3, 5], (x) => tf.prod(x, -1)),
  ...along('prod(x) along axis 0', [5, 3], (x) => tf.prod(x, 0)),
  ...along('prod(x) over two axes, kept', [3, 2, 3], (x) => tf.prod(x, [0, 2], true)),
  ...along('prod(x) over all axes', [7], (x) => tf.prod(x)),
  { name: 'prod(x) of one element', op: ({ x }) => tf.prod(x as tf.Tensor, 1), inputs: () => ({ x: awayFromZero([3, 1]) }) },
  ...[false, true].flatMap((exclusive) => [false, true].flatMap((reverse) => [0, 1].flatMap((axis) =>
    along(`cumprod(x) along axis ${axis}${exclusive ? ', exclusive' : ''}${reverse ? ', reverse' : ''}`, [4, 5],
      (x) => tf.cumprod(x, axis, exclusive, reverse))))),
  { name: 'cumprod(x) of one element', op: ({ x }) => tf.cumprod(x as tf.Tensor, 1), inputs: () => ({ x: awayFromZero([3, 1]) }) },
]);

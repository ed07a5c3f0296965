import * as tf from '@tensorflow/tfjs-core';
import { gradientTests, type OpCase } from './battery.ts';
import { normal } from './points.ts';

const of = (name: string, shape: readonly number[], op: (x: tf.Tensor) => tf.Tensor): OpCase =>
  ({ name, op: ({ x }) => op(x as tf.Tensor), inputs: () => ({ x: normal(shape) }) });

gradientTests([
  of('reshape(x)', [3, 4], (x) => tf.reshape(x, [2, 6])),
  of('flatten of a scalar', [], (x) => tf.reshape(x, [1, 1])),
  of('expandDims(x)', [3, 4], (x) => tf.expandDims(x, -2)),
  of('squeeze(x)', [3, 1, 4], (x) => tf.squeeze(x)),
  of('transpose(x)', [2, 3, 5], (x) => tf.transpose(x, [2, 0, 1])),
  of('transpose(x) of a matrix', [3, 5], (x) => tf.transpose(x)),
  of('slice(x)', [4, 5], (x) => tf.slice(x, [1, 2], [2, 3])),
  of('slice(x) to the end', [4, 5], (x) => tf.slice(x, 1)),
  of('slice(x) with size -1', [4, 5], (x) => tf.slice(x, [0, 2], [3, -1])),
  of('pad(x)', [2, 3], (x) => tf.pad(x, [[1, 2], [0, 3]], 7)),
  of('tile(x)', [2, 1, 3], (x) => tf.tile(x, [2, 5, 3])),
  of('tile(x) once', [2, 3], (x) => tf.tile(x, [1, 1])),
  of('broadcastTo(x)', [3, 1], (x) => tf.broadcastTo(x, [2, 3, 4])),
  of('reverse(x)', [3, 4], (x) => tf.reverse(x, [0, 1])),
  of('reverse(x) along -1', [3, 4], (x) => tf.reverse(x, -1)),
  of('split(x) in three, of which one is used', [2, 9], (x) => tf.split(x, 3, 1)[1] as tf.Tensor),
  of('split(x) in unequal parts', [2, 6], (x) => {
    const [a, b] = tf.split(x, [2, 4], -1) as [tf.Tensor, tf.Tensor];
    return tf.concat([b, tf.mul(a, 2)], 1);
  }),
  of('unstack(x), of which two are used', [2, 4, 3], (x) => {
    const [first, , , last] = tf.unstack(x, 1) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    return tf.mul(first, last);
  }),
  of('stack([x, x])', [2, 3], (x) => tf.stack([x, tf.mul(x, 3)], 1)),
  {
    name: 'stack([a, b], -1)', op: ({ a, b }) => tf.stack([a, b] as tf.Tensor[], -1), inputs: () => ({ a: normal([2, 3], 1), b: normal([2, 3], 2) }),
  },
  {
    name: 'concat([a, b, c], -1)', op: ({ a, b, c }) => tf.concat([a, b, c] as tf.Tensor[], -1),
    inputs: () => ({ a: normal([2, 3], 1), b: normal([2, 1], 2), c: normal([2, 5], 3) }),
  },
]);

import * as tf from '@tensorflow/tfjs-core';
import { gradientTests, type OpCase } from './battery.ts';
import { distinct, normal } from './points.ts';

const of = (name: string, shape: readonly number[], op: (x: tf.Tensor) => tf.Tensor, make = normal): OpCase =>
  ({ name, op: ({ x }) => op(x as tf.Tensor), inputs: () => ({ x: make(shape) }) });

const ids = (values: number[], shape: number[]): tf.Tensor => tf.tensor(values, shape, 'int32');

gradientTests([
  of('gather(x, ids) with repeated ids', [5, 3], (x) => tf.gather(x, ids([4, 0, 4, 4, 2, 1, 3], [7]))),
  of('gather(x, ids) of rank 2', [5, 3], (x) => tf.gather(x, ids([4, 0, 1, 4, 2, 3], [2, 3]))),
  of('gather(x, ids) along axis 1', [2, 4, 3], (x) => tf.gather(x, ids([3, 0, 0, 1, 2], [5]), 1)),
  of('gather(x, ids) along the last axis', [2, 4, 3], (x) => tf.gather(x, ids([2, 0, 2, 1], [4]), -1)),
  of('gather(x, ids) per batch entry', [2, 4, 3], (x) => tf.gather(x, ids([3, 0, 1, 2, 2, 1, 3, 0], [2, 4]), 1, 1)),
  of('gather(x, ids) per batch entry along axis 2', [2, 3, 4], (x) => tf.gather(x, ids([3, 0, 1, 2, 2, 1, 0, 3], [2, 4]), 2, 1)),
  of('gather(x, id) of a scalar id', [4, 3], (x) => tf.concat([tf.gather(x, tf.scalar(2, 'int32')), tf.reshape(x, [12])])),
  of('gatherND(x, ids) of elements', [3, 4], (x) => tf.gatherND(x, ids([0, 0, 2, 3, 2, 3, 1, 1], [4, 2]))),
  of('gatherND(x, ids) of rows', [3, 4], (x) => tf.gatherND(x, ids([2, 0, 2], [3, 1]))),
  of('scatterND(ids, x) with repeated ids', [4, 3], (x) => tf.scatterND(ids([5, 0, 5, 2], [4, 1]), x, [6, 3])),
  of('scatterND(ids, x) of elements', [4], (x) => tf.scatterND(ids([0, 1, 2, 2, 1, 0, 2, 2], [4, 2]), x, [3, 3])),
  {
    name: 'tensorScatterUpdate(x, ids, updates)',
    op: ({ x, updates }) => tf.tensorScatterUpdate(x as tf.Tensor, ids([3, 0], [2, 1]), updates as tf.Tensor),
    inputs: () => ({ x: normal([5, 3], 1), updates: normal([2, 3], 2) }),
  },
  of('unsortedSegmentSum(x, ids) with ids outside', [6, 3], (x) => tf.unsortedSegmentSum(x, tf.tensor1d([1, 0, 1, -1, 3, 1], 'int32'), 3)),
  of('topk(x, 3)', [4, 5], (x) => tf.topk(x, 3).values, distinct),
  of('topk(x, 1) of a vector', [7], (x) => tf.topk(x, 1).values, distinct),
  of('topk(x, 2) of rank 3', [2, 3, 4], (x) => tf.topk(x, 2).values, distinct),
]);

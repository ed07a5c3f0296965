import * as tf from '@tensorflow/tfjs-core';
import { gradientTests, type OpCase } from './battery.ts';
import { normal } from './points.ts';

const of = (name: string, shape: readonly number[], op: (x: tf.Tensor) => tf.Tensor): OpCase =>
  ({ name, op: ({ x }) => op(x as tf.Tensor), inputs: () => ({ x: normal(shape) }) });

gradientTests([
  of('stridedSlice(x) by 2', [7, 5], (x) => tf.stridedSlice(x, [1, 0], [7, 5], [2, 3])),
  of('stridedSlice(x) backwards', [7, 5], (x) => tf.stridedSlice(x, [6, 4], [0, 0], [-2, -1])),
  of('stridedSlice(x) with masks', [4, 5, 6], (x) => tf.stridedSlice(x, [1, 9, 2], [9, 9, 6], [1, 1, 3], 0, 1, 2, 0, 0)),
  of('stridedSlice(x) that drops an axis', [4, 5], (x) => tf.stridedSlice(x, [2, 1], [3, 4], [1, 1], 0, 0, 0, 0, 1)),
  of('stridedSlice(x) that adds an axis', [4, 5], (x) => tf.stridedSlice(x, [0, 1, 0], [0, 4, 5], [1, 1, 2], 0, 0, 0, 1, 0)),
  of('mirrorPad(x) by reflection', [3, 4], (x) => tf.mirrorPad(x, [[2, 1], [0, 3]], 'reflect')),
  of('mirrorPad(x) symmetrically', [3, 4], (x) => tf.mirrorPad(x, [[3, 0], [1, 4]], 'symmetric')),
  of('depthToSpace(x)', [2, 3, 2, 8], (x) => tf.depthToSpace(x as tf.Tensor4D, 2)),
  of('spaceToBatchND(x)', [2, 4, 5, 3], (x) => tf.spaceToBatchND(x, [2, 3], [[0, 2], [1, 0]])),
  of('batchToSpaceND(x)', [8, 2, 3, 2], (x) => tf.batchToSpaceND(x, [2, 2], [[0, 1], [1, 0]])),
  of('flipLeftRight(x)', [2, 3, 5, 1], (x) => tf.image.flipLeftRight(x as tf.Tensor4D)),
  of('diag(x)', [5], (x) => tf.diag(x)),
  of('diag(x) of a matrix', [2, 3], (x) => tf.diag(x)),
  of('bandPart(x, 1, 2)', [2, 5, 5], (x) => tf.linalg.bandPart(x, 1, 2)),
  of('bandPart(x, -1, 0), the lower triangle', [4, 3], (x) => tf.linalg.bandPart(x, -1, 0)),
]);

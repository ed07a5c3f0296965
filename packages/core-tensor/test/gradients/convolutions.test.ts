import * as tf from '@tensorflow/tfjs-core';
import { gradientTests, type OpCase } from './battery.ts';
import { normal } from './points.ts';

type Image = tf.Tensor4D;

const conv = (name: string, shapeX: readonly number[], shapeFilter: readonly number[], op: (x: Image, filter: Image) => tf.Tensor): OpCase => ({
  name,
  op: ({ x, filter }) => op(x as Image, filter as Image),
  inputs: () => ({ x: normal(shapeX, 1), filter: normal(shapeFilter, 2) }),
  curved: true,
});

gradientTests([
  conv('conv2d(x, filter)', [2, 4, 5, 2], [3, 2, 2, 3], (x, f) => tf.conv2d(x, f, 1, 'valid')),
  conv('conv2d(x, filter) padded with stride', [1, 5, 6, 2], [3, 3, 2, 2], (x, f) => tf.conv2d(x, f, [2, 1], 'same')),
  conv('conv2d(x, filter) dilated', [1, 7, 6, 1], [2, 3, 1, 2], (x, f) => tf.conv2d(x, f, 1, 'same', 'NHWC', [3, 2])),
  conv('conv2d(x, filter) with explicit padding', [1, 4, 4, 1], [2, 2, 1, 2], (x, f) => tf.conv2d(x, f, 1, 1)),
  conv('conv2d(x, filter) of patches, as in a patch embedding', [1, 4, 6, 3], [2, 2, 3, 5], (x, f) => tf.conv2d(x, f, 2, 'valid')),
  conv('conv2d(x, filter) with channels first', [1, 2, 4, 5], [2, 3, 2, 3], (x, f) => tf.conv2d(x, f, 1, 'valid', 'NCHW')),
  conv('conv2dTranspose(x, filter)', [1, 3, 2, 3], [2, 3, 2, 3], (x, f) => tf.conv2dTranspose(x, f, [1, 6, 4, 2], 2, 'same')),
  conv('conv1d(x, filter)', [2, 7, 3], [3, 3, 2], (x, f) => tf.conv1d(x as tf.Tensor as tf.Tensor3D, f as tf.Tensor as tf.Tensor3D, 1, 'same')),
  conv('conv1d(x, filter) dilated', [1, 9, 2], [3, 2, 2], (x, f) => tf.conv1d(x as tf.Tensor as tf.Tensor3D, f as tf.Tensor as tf.Tensor3D, 1, 'valid', 'NWC', 2)),
  conv('depthwiseConv2d(x, filter)', [2, 4, 5, 2], [3, 2, 2, 2], (x, f) => tf.depthwiseConv2d(x, f, 1, 'same')),
  conv('depthwiseConv2d(x, filter) with stride', [1, 5, 6, 3], [2, 2, 3, 1], (x, f) => tf.depthwiseConv2d(x, f, 2, 'valid')),
  conv('depthwiseConv2d(x, filter) dilated', [1, 6, 7, 2], [2, 2, 2, 1], (x, f) => tf.depthwiseConv2d(x, f, 1, 'same', 'NHWC', [2, 3])),
  {
    name: 'separableConv2d(x, depthwise, pointwise)',
    op: ({ x, depthwise, pointwise }) => tf.separableConv2d(x as Image, depthwise as Image, pointwise as Image, 1, 'same'),
    inputs: () => ({ x: normal([1, 4, 4, 2], 1), depthwise: normal([2, 2, 2, 2], 2), pointwise: normal([1, 1, 4, 3], 3) }),
    curved: true,
  },
]);

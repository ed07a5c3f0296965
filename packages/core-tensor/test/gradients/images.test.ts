import * as tf from '@tensorflow/tfjs-core';
import { gradientTests, type OpCase } from './battery.ts';
import { distinct, normal } from './points.ts';

type Image = tf.Tensor4D;
const of = (name: string, shape: readonly number[], op: (x: Image) => tf.Tensor, make = normal): OpCase =>
  ({ name, op: ({ x }) => op(x as Image), inputs: () => ({ x: make(shape) }) });

const SIZES: readonly (readonly [number, number])[] = [[7, 5], [2, 3], [1, 1]];

gradientTests([
  ...SIZES.flatMap((size) => [[false, false], [true, false], [false, true]].flatMap(([alignCorners, halfPixelCenters]): OpCase[] => {
    const options = `${alignCorners ? ', corners aligned' : ''}${halfPixelCenters ? ', half-pixel centres' : ''}`;
    return [
      of(`resizeBilinear(x) to ${size.join(' × ')}${options}`, [2, 4, 3, 2], (x) => tf.image.resizeBilinear(x, [...size], alignCorners, halfPixelCenters)),
      of(`resizeNearestNeighbor(x) to ${size.join(' × ')}${options}`, [2, 4, 3, 2],
        (x) => tf.image.resizeNearestNeighbor(x, [...size], alignCorners, halfPixelCenters)),
    ];
  })),
  of('avgPool(x) without padding', [2, 5, 4, 3], (x) => tf.avgPool(x, 2, 2, 'valid')),
  of('avgPool(x) with padding', [1, 5, 4, 2], (x) => tf.avgPool(x, [3, 2], 1, 'same')),
  of('avgPool(x) with padding and stride', [1, 7, 6, 1], (x) => tf.avgPool(x, 3, 2, 'same')),
  of('avgPool(x) with explicit padding, rounding up', [1, 6, 6, 1], (x) => tf.avgPool(x, 3, 2, 1, 'ceil')),
  of('maxPool(x) without padding', [2, 5, 4, 2], (x) => tf.maxPool(x, 2, 2, 'valid'), distinct),
  of('maxPool(x) with overlapping, padded windows', [1, 5, 4, 2], (x) => tf.maxPool(x, [3, 2], 1, 'same'), distinct),
  of('maxPool(x) with padding and stride', [2, 7, 6, 1], (x) => tf.maxPool(x, 3, 2, 'same'), distinct),
  of('maxPool(x) with explicit padding, rounding up', [1, 6, 6, 1], (x) => tf.maxPool(x, 3, 2, 1, 'ceil'), distinct),
  of('maxPool(x) of one image', [5, 5, 1], (x) => tf.maxPool(x as tf.Tensor as tf.Tensor3D, 2, 1, 'valid'), distinct),
]);

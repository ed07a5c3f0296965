import {
  backend_util, matMul, maximum, maxPoolWithArgmax, pad, reshape, scalar, scatterND, slice, tensor, type GradConfig, type Tensor, type Tensor4D,
} from '@tensorflow/tfjs-core';
import { attr, fromShape, unary, type Attrs } from './config.ts';

type Shape4 = [number, number, number, number];
type PoolInfo = ReturnType<typeof backend_util.computePool2DInfo>;

/**
 * A linear map along one image axis: `weights[to · inSize + from]`. Resizing and average pooling are one such map for the rows
 * and one for the columns, and their gradients are the transposed maps: matrix products, right for every option and
 * differentiable again (tfjs' own gradient kernels forget halfPixelCenters, and the smaller windows at padded borders).
 */
type AxisMap = { readonly weights: Float32Array; readonly outSize: number; readonly inSize: number };

/** `b h w c` with both maps applied backwards. */
function transposedMaps(dy: Tensor, rows: AxisMap, columns: AxisMap): Tensor {
  const [batch, , width, depth] = dy.shape as Shape4;
  const rowMatrix = tensor(rows.weights, [rows.outSize, rows.inSize]);
  const columnMatrix = tensor(columns.weights, [1, columns.outSize, columns.inSize]);
  const byRow = matMul(reshape(rowMatrix, [1, rows.outSize, rows.inSize]), reshape(dy, [batch, rows.outSize, width * depth]), true, false);
  const byColumn = matMul(columnMatrix, reshape(byRow, [batch * rows.inSize, width, depth]), true, false);
  return reshape(byColumn, [batch, rows.inSize, columns.inSize, depth]);
}

type ResizeOptions = { alignCorners: boolean; halfPixelCenters: boolean };

function resizeMap(inSize: number, outSize: number, { alignCorners, halfPixelCenters }: ResizeOptions, isNearest: boolean): AxisMap {
  const weights = new Float32Array(outSize * inSize);
  const ratio = alignCorners && outSize > 1 ? (inSize - 1) / (outSize - 1) : inSize / outSize;
  const give = (to: number, from: number, weight: number): void => {
    const index = to * inSize + Math.min(Math.max(from, 0), inSize - 1);
    weights[index] = (weights[index] as number) + weight;
  };
  for (let to = 0; to < outSize; to++) {
    if (isNearest) {
      const at = ratio * (halfPixelCenters ? to + 0.5 : to);
      give(to, alignCorners ? Math.round(at) : Math.floor(at), 1);
    } else {
      const at = halfPixelCenters ? ratio * (to + 0.5) - 0.5 : ratio * to;
      const low = Math.max(0, Math.floor(at));
      give(to, low, 1 - (at - low));
      give(to, Math.ceil(at), at - low);
    }
  }
  return { weights, outSize, inSize };
}

function unresize(dy: Tensor, shape: number[], attrs: Attrs, isNearest: boolean): Tensor {
  const options = { alignCorners: attr<boolean>(attrs, 'alignCorners'), halfPixelCenters: attr<boolean>(attrs, 'halfPixelCenters') };
  const map = (axis: number): AxisMap => resizeMap(shape[axis] as number, dy.shape[axis] as number, options, isNearest);
  return transposedMaps(dy, map(1), map(2));
}

function poolInfo(shape: readonly number[], attrs: Attrs): PoolInfo {
  type Pad = Parameters<typeof backend_util.computePool2DInfo>[4];
  type Rounding = Parameters<typeof backend_util.computePool2DInfo>[5];
  return backend_util.computePool2DInfo(
    shape as Shape4, attr<[number, number]>(attrs, 'filterSize'), attr<[number, number]>(attrs, 'strides'), 1, attr<Pad>(attrs, 'pad'),
    attr<Rounding>(attrs, 'dimRoundingMode'));
}

/** The average over each window, whose size at the border counts real pixels only. */
function averageMap(inSize: number, outSize: number, window: number, stride: number, padBefore: number): AxisMap {
  const weights = new Float32Array(outSize * inSize);
  for (let to = 0; to < outSize; to++) {
    const [begin, end] = [Math.max(0, to * stride - padBefore), Math.min(inSize, to * stride - padBefore + window)];
    for (let from = begin; from < end; from++) weights[to * inSize + from] = 1 / (end - begin);
  }
  return { weights, outSize, inSize };
}

function avgPoolGrad(dy: Tensor, shape: number[], attrs: Attrs): Tensor {
  const info = poolInfo(shape, attrs);
  return transposedMaps(
    dy,
    averageMap(info.inHeight, info.outHeight, info.filterHeight, info.strideHeight, info.padInfo.top),
    averageMap(info.inWidth, info.outWidth, info.filterWidth, info.strideWidth, info.padInfo.left));
}

/** Each gradient goes to the pixel that won its window; pixels are found again in the padded image, and the padding cut off. */
function maxPoolGrad(dy: Tensor, x: Tensor, attrs: Attrs): Tensor {
  const info = poolInfo(x.shape, attrs);
  const { top, left } = info.padInfo;
  const below = Math.max(0, (info.outHeight - 1) * info.strideHeight + info.filterHeight - info.inHeight - top);
  const right = Math.max(0, (info.outWidth - 1) * info.strideWidth + info.filterWidth - info.inWidth - left);
  const LOWEST = -3.4028234e38;
  const image = pad(x, [[0, 0], [top, below], [left, right], [0, 0]], LOWEST);
  const { indexes } = maxPoolWithArgmax(
    image as Tensor4D, [info.filterHeight, info.filterWidth], [info.strideHeight, info.strideWidth], 'valid', true) as { indexes: Tensor };
  const winners = maximum(reshape(indexes, [indexes.size, 1]), scalar(0, 'int32'));
  const scattered = scatterND(winners, reshape(dy, [dy.size]), [image.size]);
  return slice(reshape(scattered, image.shape), [0, top, left, 0], x.shape);
}

/** imageGradients — pooling and resizing of `b h w c` images. */
export const imageGradients: readonly GradConfig[] = [
  fromShape('ResizeBilinear', (dy, shape, attrs) => unresize(dy, shape, attrs, false), 'images'),
  fromShape('ResizeNearestNeighbor', (dy, shape, attrs) => unresize(dy, shape, attrs, true), 'images'),
  fromShape('AvgPool', avgPoolGrad),
  unary('MaxPool', maxPoolGrad),
];

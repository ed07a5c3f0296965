import {
  clone, concat, pad, reshape, reverse, slice, slice_util, stack, sum, transpose, util, type GradConfig, type Tensor, type TensorInfo,
} from '@tensorflow/tfjs-core';
import { attr, fromShape, linear, shapeOf, shapesOfAll, sumTo } from './config.ts';

/** The gradient of `Tile`: sums the copies, one axis at a time. */
function untile(dy: Tensor, shape: readonly number[]): Tensor {
  const summed = shape.reduce((x, size, axis) => {
    const repeats = (x.shape[axis] as number) / size;
    if (repeats === 1 || size === 0) return x;
    const before = util.sizeFromShape(x.shape.slice(0, axis));
    const after = util.sizeFromShape(x.shape.slice(axis + 1));
    const total = sum(reshape(x, [before, repeats, size * after]), [1]);
    return reshape(total, [...x.shape.slice(0, axis), size, ...x.shape.slice(axis + 1)]);
  }, dy);
  return summed === dy ? clone(dy) : summed;
}

/** The gradient of `Slice`: zeros around it. */
function unslice(dy: Tensor, shape: number[], begin: number | number[], size: number | number[]): Tensor {
  const [starts, sizes] = slice_util.parseSliceParams({ shape } as TensorInfo, begin, size) as [number[], number[]];
  return pad(dy, shape.map((length, i) => [starts[i] as number, length - (starts[i] as number) - (sizes[i] as number)]));
}

function unconcat(dy: Tensor, shapes: readonly number[][], axisParam: number): Record<string, () => Tensor> {
  const axis = util.parseAxisParam(axisParam, dy.shape)[0] as number;
  let end = 0;
  return Object.fromEntries(shapes.map((shape, i) => {
    const begin = dy.shape.map(() => 0);
    begin[axis] = end;
    end += shape[axis] as number;
    return [i, () => slice(dy, begin, shape)];
  }));
}

function unpack(dy: Tensor, axisParam: number): Record<string, () => Tensor> {
  const axis = util.parseAxisParam(axisParam, dy.shape)[0] as number;
  const size = dy.shape.map((length, i) => (i === axis ? 1 : length));
  const shape = dy.shape.filter((_, i) => i !== axis);
  return Object.fromEntries(Array.from({ length: dy.shape[axis] as number }, (_, i) => {
    const begin = dy.shape.map((__, j) => (j === axis ? i : 0));
    return [i, () => reshape(slice(dy, begin, size), shape)];
  }));
}

function unpad(dy: Tensor, paddings: readonly [number, number][]): Tensor {
  return slice(dy, paddings.map(([before]) => before), dy.shape.map((size, i) => size - (paddings[i]?.[0] ?? 0) - (paddings[i]?.[1] ?? 0)));
}

/** shapeGradients — kernels that move elements without changing them. */
export const shapeGradients: readonly GradConfig[] = [
  fromShape('Reshape', (dy, shape) => reshape(dy, shape)),
  fromShape('ExpandDims', (dy, shape) => reshape(dy, shape), 'input'),
  linear('Transpose', (dy, attrs) => transpose(dy, [...attr<number[]>(attrs, 'perm')].map((_, axis, perm) => perm.indexOf(axis)))),
  fromShape('Slice', (dy, shape, attrs) => unslice(dy, shape, attr<number[]>(attrs, 'begin'), attr<number[]>(attrs, 'size'))),
  { kernelName: 'Concat', inputsToSave: shapesOfAll(), gradFunc: (dy, saved, attrs) => unconcat(dy as Tensor, saved.map(shapeOf), attr<number>(attrs, 'axis')) },
  { kernelName: 'SplitV', gradFunc: (dys, _, attrs) => ({ x: () => (Array.isArray(dys) ? concat(dys, attr<number>(attrs, 'axis')) : clone(dys)) }) },
  { kernelName: 'Pack', gradFunc: (dy, _, attrs) => unpack(dy as Tensor, attr<number>(attrs, 'axis')) },
  { kernelName: 'Unpack', gradFunc: (dys, _, attrs) => ({ value: () => stack(Array.isArray(dys) ? dys : [dys], attr<number>(attrs, 'axis')) }) },
  linear('PadV2', (dy, attrs) => unpad(dy, attr<[number, number][]>(attrs, 'paddings'))),
  fromShape('Tile', untile),
  linear('Reverse', (dy, attrs) => reverse(dy, attr<number[]>(attrs, 'dims'))),
  linear('BroadcastTo', (dy, attrs) => sumTo(dy, attr<number[]>(attrs, 'inputShape'))),
];

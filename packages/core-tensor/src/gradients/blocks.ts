import {
  add, batchToSpaceND, gather, pad, range, reshape, reverse, slice, slice_util, spaceToBatchND, transpose, type GradConfig, type Tensor,
} from '@tensorflow/tfjs-core';
import { attr, fromShape, linear, sameShape, type Attrs } from './config.ts';

const sliceAxis = (x: Tensor, axis: number, begin: number, count: number): Tensor =>
  slice(x, x.shape.map((_, i) => (i === axis ? begin : 0)), x.shape.map((size, i) => (i === axis ? count : size)));

const padAxis = (x: Tensor, axis: number, before: number, after: number): Tensor =>
  (before === 0 && after === 0 ? x : pad(x, x.shape.map((_, i): [number, number] => (i === axis ? [before, after] : [0, 0]))));

/** Puts `gap − 1` zeros behind each element along `axis`, except the last. */
function spreadOut(x: Tensor, axis: number, gap: number): Tensor {
  const count = x.shape[axis] as number;
  if (gap === 1 || count === 0) return x;
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const inner = after.reduce((product, size) => product * size, 1);
  const gaps = padAxis(reshape(x, [x.size / Math.max(inner, 1), 1, inner]), 1, 0, gap - 1);
  return sliceAxis(reshape(gaps, [...before, count * gap, ...after]), axis, 0, (count - 1) * gap + 1);
}

/** The gradient of `StridedSlice`: elements go back to where they were read, zeros everywhere else. */
function unstride(dy: Tensor, shape: number[], attrs: Attrs): Tensor {
  const mask = (name: string): number => attr<number>(attrs, name);
  const { begin, end, strides } = slice_util.sliceInfo(
    shape, attr<number[]>(attrs, 'begin'), attr<number[]>(attrs, 'end'), attr<number[]>(attrs, 'strides'),
    mask('beginMask'), mask('endMask'), mask('ellipsisMask'), mask('newAxisMask'), mask('shrinkAxisMask'));
  const counts = shape.map((_, i) => Math.max(0, Math.ceil(((end[i] as number) - (begin[i] as number)) / (strides[i] as number))));
  return shape.reduce((x, size, axis) => {
    const [count, stride, first] = [counts[axis] as number, strides[axis] as number, begin[axis] as number];
    if (count === 0) return padAxis(x, axis, 0, size);
    const lowest = stride > 0 ? first : first + (count - 1) * stride;
    const placed = spreadOut(stride > 0 ? x : reverse(x, axis), axis, Math.abs(stride));
    return padAxis(placed, axis, lowest, size - lowest - (placed.shape[axis] as number));
  }, reshape(dy, counts));
}

/** The gradient of `MirrorPad`: what the borders received goes back to the elements they mirror. */
function unmirror(dy: Tensor, attrs: Attrs): Tensor {
  const edge = attr<string>(attrs, 'mode') === 'reflect' ? 1 : 0;
  return attr<[number, number][]>(attrs, 'paddings').reduce((x, [before, after], axis) => {
    const size = (x.shape[axis] as number) - before - after;
    const centre = sliceAxis(x, axis, before, size);
    const mirrored = (begin: number, count: number, at: number): Tensor[] => (count === 0 ? []
      : [padAxis(reverse(sliceAxis(x, axis, begin, count), axis), axis, at, size - at - count)]);
    const borders = [...mirrored(0, before, edge), ...mirrored(before + size, after, size - edge - after)];
    return borders.reduce((sum, border) => add(sum, border), centre);
  }, dy);
}

/** The gradient of `DepthToSpace`: blocks of pixels go back to channels. */
function spaceToDepth(dy: Tensor, attrs: Attrs): Tensor {
  const block = attr<number>(attrs, 'blockSize');
  if (attr<string>(attrs, 'dataFormat') === 'NCHW') {
    const [batch, depth, height, width] = dy.shape as [number, number, number, number];
    const split = reshape(dy, [batch * depth, height / block, block, width / block, block]);
    const moved = reshape(transpose(split, [0, 2, 4, 1, 3]), [batch, depth, block * block, (height / block) * (width / block)]);
    return reshape(transpose(moved, [0, 2, 1, 3]), [batch, depth * block * block, height / block, width / block]);
  }
  const [batch, height, width, depth] = dy.shape as [number, number, number, number];
  const split = reshape(dy, [(batch * height) / block, block, width / block, block, depth]);
  return reshape(transpose(split, [0, 2, 1, 3, 4]), [batch, height / block, width / block, block * block * depth]);
}

/** The gradient of `Diag`: the diagonal of dy, seen as a matrix. */
function diagonal(dy: Tensor, shape: number[]): Tensor {
  const size = Math.round(Math.sqrt(dy.size));
  const entries = gather(reshape(dy, [dy.size]), range(0, dy.size, size + 1, 'int32'));
  return sameShape(entries.shape, shape) ? entries : reshape(entries, shape);
}

/** blockGradients — kernels that move elements in patterns: strides, mirrors, blocks, diagonals. */
export const blockGradients: readonly GradConfig[] = [
  fromShape('StridedSlice', unstride),
  linear('MirrorPad', unmirror),
  linear('DepthToSpace', spaceToDepth),
  linear('SpaceToBatchND', (dy, attrs) => batchToSpaceND(dy, attr<number[]>(attrs, 'blockShape'), attr<number[][]>(attrs, 'paddings'))),
  linear('BatchToSpaceND', (dy, attrs) => spaceToBatchND(dy, attr<number[]>(attrs, 'blockShape'), attr<number[][]>(attrs, 'crops'))),
  linear('FlipLeftRight', (dy) => reverse(dy, 2), 'image'),
  fromShape('Diag', diagonal),
];

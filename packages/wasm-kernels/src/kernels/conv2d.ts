import { backend_util, Conv2D, Conv2DBackpropFilter, Conv2DBackpropInput, util, type TensorInfo } from '@tensorflow/tfjs-core';
import { gemm } from '../gemm.ts';
import type { WasmBackend } from '../wasmBackend.ts';
import { chunksFor, onCpu, rowChunks, type KernelCall, type WasmKernel } from './kernel.ts';

/**
 * tfjs' convolution of float32 images `b h w c` with a filter `h w c o`, as matrix products: the surroundings of output pixels are the rows
 * of a matrix, made in blocks (assembly/conv2d.ts). Other layouts, and sizes that do not fit, go to the CPU backend.
 */
export const conv2dKernels: readonly WasmKernel[] = [
  { name: Conv2D, run: conv2d },
  { name: Conv2DBackpropInput, run: inputGrad },
  { name: Conv2DBackpropFilter, run: filterGrad },
];

/** Rows of surroundings are made in blocks of at most this size. */
const BLOCK_BYTES = 4 << 20;

/** Convolution — as a product of `pixels` × `depth` (the surroundings of each output pixel) by `depth` × `outChannels`. */
type Convolution = {
  readonly outShape: number[];
  /** Output pixels of all images, and of one. */
  readonly pixels: number;
  readonly perImage: number;
  readonly depth: number;
  readonly outChannels: number;
  /** Output pixels whose surroundings are in memory at a time. */
  readonly perBlock: number;
  /** Whether the surroundings of a pixel are that pixel, so that the images are the rows. */
  readonly isPointwise: boolean;
  /** Arguments 5 to 17 of `im2col`. */
  readonly geometry: readonly number[];
};

function conv2d(call: KernelCall): TensorInfo {
  const { inputs: { x, filter }, attrs, backend } = call;
  if (!backend.holds(x, 'float32') || !backend.holds(filter, 'float32')) return onCpu(Conv2D, call);
  const conv = convolutionOf(call, x.shape, filter.shape, attrs.dilations as number);
  if (conv === undefined) return onCpu(Conv2D, call);
  const { depth, outChannels } = conv;
  const y = backend.allocate(conv.outShape);
  eachBlock(backend, conv, backend.pointer(x), (rows, first, count) => gemm(backend, {
    m: count, n: outChannels, k: depth, transposeA: false, transposeB: false,
    a: [rows], b: [backend.pointer(filter)], c: [backend.pointer(y) + first * outChannels * 4],
  }));
  return y;
}

function filterGrad(call: KernelCall): TensorInfo {
  const { inputs: { x, dy }, attrs, backend } = call;
  const filterShape = attrs.filterShape as number[];
  if (!backend.holds(x, 'float32') || !backend.holds(dy, 'float32')) return onCpu(Conv2DBackpropFilter, call);
  const conv = convolutionOf(call, x.shape, filterShape);
  if (conv === undefined || !util.arraysEqual(dy.shape, conv.outShape)) return onCpu(Conv2DBackpropFilter, call);
  const { depth, outChannels, pixels, perBlock } = conv;
  const dfilter = backend.allocate(filterShape);
  const other = backend.intermediate(pixels > perBlock ? depth * outChannels * 4 : 0);
  let sum = 0; // of the blocks so far; it changes places with every block and ends in dfilter
  eachBlock(backend, conv, backend.pointer(x), (rows, first, count) => {
    const blocksLeft = Math.ceil((pixels - first) / perBlock) - 1;
    const c = blocksLeft % 2 === 1 ? other.pointer : backend.pointer(dfilter);
    const b = backend.pointer(dy) + first * outChannels * 4;
    gemm(backend, { m: depth, n: outChannels, k: count, transposeA: true, transposeB: false, a: [rows], b: [b], c: [c], residual: sum });
    sum = c;
  });
  backend.release(other);
  return dfilter;
}

function inputGrad(call: KernelCall): TensorInfo {
  const { inputs: { dy, filter }, attrs, backend } = call;
  const inputShape = attrs.inputShape as number[];
  if (!backend.holds(dy, 'float32') || !backend.holds(filter, 'float32')) return onCpu(Conv2DBackpropInput, call);
  const conv = convolutionOf(call, inputShape, filter.shape);
  if (conv === undefined || !util.arraysEqual(dy.shape, conv.outShape)) return onCpu(Conv2DBackpropInput, call);
  const { depth, outChannels, pixels, perBlock, isPointwise } = conv;
  const dx = backend.allocate(inputShape);
  const product = (first: number, count: number, c: number): void => gemm(backend, {
    m: count, n: depth, k: outChannels, transposeA: false, transposeB: true,
    a: [backend.pointer(dy) + first * outChannels * 4], b: [backend.pointer(filter)], c: [c],
  });
  if (isPointwise) {
    product(0, pixels, backend.pointer(dx));
    return dx;
  }
  const size = util.sizeFromShape(inputShape);
  backend.run('fill', chunksFor(size), backend.pointer(dx), size, 0);
  const rows = backend.intermediate(perBlock * depth * 4);
  for (let first = 0; first < pixels; first += perBlock) {
    const count = Math.min(perBlock, pixels - first);
    product(first, count, rows.pointer);
    addRows(backend, conv, rows.pointer, first, count, backend.pointer(dx));
  }
  backend.release(rows);
  return dx;
}

/** convolutionOf — undefined where these kernels do not apply. */
function convolutionOf({ attrs }: KernelCall, inShape: number[], filterShape: number[], dilations: number | [number, number] = 1): Convolution | undefined {
  if (attrs.dataFormat !== 'NHWC' || inShape.length !== 4 || filterShape.length !== 4 || inShape[3] !== filterShape[2]) return undefined;
  const { strides, pad, dimRoundingMode } = attrs as { strides: number; pad: number; dimRoundingMode?: 'floor' };
  const info = backend_util.computeConv2DInfo(inShape as Shape, filterShape as Shape, strides, dilations, pad, dimRoundingMode);
  const { inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, filterHeight, filterWidth, padInfo: { top, left } } = info;
  const steps = [info.strideHeight, info.strideWidth, info.dilationHeight, info.dilationWidth] as const;
  const [down, right, ...dilation] = steps;
  if (![...steps, outHeight, outWidth, top, left].every(Number.isInteger) || Math.min(outHeight, outWidth) < 0 || Math.min(...steps) < 1) return undefined;
  const perImage = outHeight * outWidth;
  const pixels = info.batchSize * perImage;
  const depth = filterHeight * filterWidth * inChannels;
  const isPointwise = [filterHeight, filterWidth, down, right].every((size) => size === 1) && top === 0 && left === 0 && outHeight === inHeight && outWidth === inWidth;
  const perBlock = Math.max(1, Math.min(pixels, isPointwise ? pixels : Math.floor(BLOCK_BYTES / 4 / Math.max(depth, 1))));
  const geometry = [inHeight, inWidth, inChannels, outHeight, outWidth, filterHeight, filterWidth, down, right, top, left, ...dilation];
  return { outShape: info.outShape, pixels, perImage, depth, outChannels, perBlock, isPointwise, geometry };
}

type Shape = [number, number, number, number];

/** eachBlock — calls `use` for one block of output pixels after the other, with the address of their rows; once if there are none. */
function eachBlock(backend: WasmBackend, conv: Convolution, x: number, use: (rows: number, first: number, count: number) => void): void {
  const { pixels, perBlock, depth, isPointwise, geometry } = conv;
  if (isPointwise || pixels === 0) return use(x, 0, pixels);
  const rows = backend.intermediate(perBlock * depth * 4);
  for (let first = 0; first < pixels; first += perBlock) {
    const count = Math.min(perBlock, pixels - first);
    const { chunks, perChunk } = rowChunks(count, depth);
    backend.run('im2col', chunks, x, rows.pointer, first, count, perChunk, ...geometry);
    use(rows.pointer, first, count);
  }
  backend.release(rows);
}

/** addRows — adds the rows of a block of output pixels to the pixels of `image` that they stand for. */
function addRows(backend: WasmBackend, { perImage, depth, geometry }: Convolution, rows: number, first: number, count: number, image: number): void {
  const [inHeight, inWidth] = geometry as [number, number];
  const firstImage = Math.floor(first / perImage);
  const lines = (Math.floor((first + count - 1) / perImage) + 1 - firstImage) * inHeight;
  const { chunks, perChunk } = rowChunks(lines, inWidth * depth);
  backend.run('col2im', chunks, image, rows, first, count, perChunk, ...geometry.slice(0, -2), firstImage, lines);
}

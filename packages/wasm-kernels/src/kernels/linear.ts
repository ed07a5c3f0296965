import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import { gemm, type GemmActivation } from '../gemm.ts';
import { floats, optionalFloats, type KernelCall, type WasmKernel } from './kernel.ts';

/**
 * `evenkeel/linear`: x `... i`, weight `o i`, bias? `o`, residual? `... o`, attrs activation?, scale? → y `... o` or, with an
 * activation, [y, what the activation was given]: y = activation(scale · x weightᵀ + bias) + residual.
 * `evenkeel/linearGradInput`: dy `... o`, weight, attrs scale? → dx `... i`.
 * `evenkeel/linearGradParams`: x, dy, attrs scale? → [dweight, dbias].
 */
export const linearKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/linear', run: linear },
  { name: 'evenkeel/linearGradInput', run: linearGradInput },
  { name: 'evenkeel/linearGradParams', run: linearGradParams },
];

function linear(call: KernelCall): TensorInfo | TensorInfo[] {
  const { attrs, backend } = call;
  const { x, weight } = floats(call, 'linear', 'x', 'weight');
  const { bias, residual } = optionalFloats(call, 'linear', 'bias', 'residual');
  const activation = (attrs.activation ?? 'linear') as GemmActivation;
  const [n, k] = weight.shape as [number, number];
  const shape = x.shape.with(-1, n);
  const outputs = activation === 'linear' ? [backend.allocate(shape)] : [backend.allocate(shape), backend.allocate(shape)];
  const [y, before] = outputs as [TensorInfo, TensorInfo?];
  gemm(backend, {
    m: rowsOf(x), n, k, transposeA: false, transposeB: true,
    a: [backend.pointer(x)], b: [backend.pointer(weight)], c: [backend.pointer(y)],
    scale: scaleOf(call), bias: backend.pointerOrZero(bias), activation, before: backend.pointerOrZero(before), residual: backend.pointerOrZero(residual),
  });
  return before === undefined ? y : outputs;
}

function linearGradInput(call: KernelCall): TensorInfo {
  const { backend } = call;
  const { dy, weight } = floats(call, 'linearGradInput', 'dy', 'weight');
  const [k, n] = weight.shape as [number, number];
  const dx = backend.allocate(dy.shape.with(-1, n));
  gemm(backend, {
    m: rowsOf(dy), n, k, transposeA: false, transposeB: false,
    a: [backend.pointer(dy)], b: [backend.pointer(weight)], c: [backend.pointer(dx)], scale: scaleOf(call),
  });
  return dx;
}

function linearGradParams(call: KernelCall): TensorInfo[] {
  const { backend } = call;
  const { x, dy } = floats(call, 'linearGradParams', 'x', 'dy');
  const [m, n] = [dy.shape.at(-1) as number, x.shape.at(-1) as number];
  const [dweight, dbias] = [backend.allocate([m, n]), backend.allocate([m])];
  if (n === 0) backend.run('sumColumns', Math.ceil(m / 1024), backend.pointer(dy), backend.pointer(dbias), 1, rowsOf(x), m, 1, 1024);
  gemm(backend, {
    m, n, k: rowsOf(x), transposeA: true, transposeB: false,
    a: [backend.pointer(dy)], b: [backend.pointer(x)], c: [backend.pointer(dweight)], scale: scaleOf(call), rowSums: backend.pointer(dbias),
  });
  return [dweight, dbias];
}

const rowsOf = (x: TensorInfo): number => util.sizeFromShape(x.shape.slice(0, -1));

const scaleOf = ({ attrs }: KernelCall): number => (attrs.scale as number | undefined) ?? 1;

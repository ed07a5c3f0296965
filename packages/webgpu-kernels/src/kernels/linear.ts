import type { GpuKernel, GpuKernelCall, StepNumber } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { GemmActivation } from '../gemm/activations.ts';
import { gemm } from '../gemm/gemm.ts';
import { columnSums } from '../gemm/sums.ts';
import { given, rowsOf } from './kernel.ts';

/**
 * `evenkeel/linear`: x `... i`, weight `o i`, bias? `o`, residual? `... o`, attrs activation?, scale? → y `... o` or, with an
 * activation, [y, what the activation was given]: y = activation(scale · x weightᵀ + bias) + residual.
 * `evenkeel/linearGradInput`: dy `... o`, weight, attrs scale? → dx `... i`.
 * `evenkeel/linearGradParams`: x, dy, attrs scale? → [dweight, dbias].
 */
export const linearKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/linear', run: linear },
  { name: 'evenkeel/linearGradInput', run: linearGradInput },
  { name: 'evenkeel/linearGradParams', run: linearGradParams },
];

function linear(call: GpuKernelCall): TensorInfo | TensorInfo[] {
  const { inputs: { bias, residual }, attrs, backend } = call;
  const [x, weight] = [given(call, 'x'), given(call, 'weight')];
  const activation = (attrs['activation'] ?? 'linear') as GemmActivation;
  const [n, k] = weight.shape as [number, number];
  const shape = x.shape.with(-1, n);
  const y = backend.allocate(shape);
  const before = activation === 'linear' ? undefined : backend.allocate(shape);
  gemm(backend, {
    m: rowsOf(x), n, k, transposeA: false, transposeB: true, a: x, b: weight, c: y, scale: scaleOf(call), activation,
    ...(bias && { bias }), ...(before && { before }), ...(residual && { residual }),
  });
  return before === undefined ? y : [y, before];
}

function linearGradInput(call: GpuKernelCall): TensorInfo {
  const { backend } = call;
  const [dy, weight] = [given(call, 'dy'), given(call, 'weight')];
  const [k, n] = weight.shape as [number, number];
  const dx = backend.allocate(dy.shape.with(-1, n));
  gemm(backend, { m: rowsOf(dy), n, k, transposeA: false, transposeB: false, a: dy, b: weight, c: dx, scale: scaleOf(call) });
  return dx;
}

function linearGradParams(call: GpuKernelCall): TensorInfo[] {
  const { backend } = call;
  const [x, dy] = [given(call, 'x'), given(call, 'dy')];
  const [m, n] = [dy.shape.at(-1) as number, x.shape.at(-1) as number];
  const [dweight, dbias] = [backend.allocate([m, n]), backend.allocate([m])];
  columnSums(backend, dy, dbias);
  gemm(backend, { m, n, k: rowsOf(x), transposeA: true, transposeB: false, a: dy, b: x, c: dweight, scale: scaleOf(call) });
  return [dweight, dbias];
}

const scaleOf = ({ attrs }: GpuKernelCall): number | StepNumber => (attrs['scale'] as number | StepNumber | undefined) ?? 1;

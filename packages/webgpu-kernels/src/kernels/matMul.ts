import type { GpuBackend, GpuKernel, GpuKernelCall } from '@evenkeel/core-tensor';
import { _FusedMatMul, backend_util, BatchMatMul, getKernel, util, type KernelBackend, type NamedAttrMap, type TensorInfo } from '@tensorflow/tfjs-core';
import type { GemmActivation } from '../gemm/activations.ts';
import { batchAxes } from '../gemm/batch.ts';
import { gemm } from '../gemm/gemm.ts';
import { given, sizeOf } from './kernel.ts';

/**
 * `BatchMatMul`: a `... m k`, b `... k n` (or transposed, attrs transposeA, transposeB), whose batch axes broadcast → `... m n`.
 * `_FusedMatMul`: also bias? `n`, attrs activation?. What is not float32, a bias of another shape and activations other than
 * linear, relu and relu6 go to tfjs' own kernels.
 */
export const matMulKernels: readonly GpuKernel[] = [
  { name: BatchMatMul, run: (call) => matMul(call) ?? stock(BatchMatMul, call) },
  { name: _FusedMatMul, run: fusedMatMul },
];

const FUSED: readonly unknown[] = ['linear', 'relu', 'relu6'] satisfies GemmActivation[];

type Ending = { readonly bias?: TensorInfo; readonly activation?: GemmActivation };

function fusedMatMul(call: GpuKernelCall): TensorInfo {
  const { inputs: { bias }, attrs } = call;
  const activation = attrs['activation'] ?? 'linear';
  const columns = given(call, 'b').shape.at(attrs['transposeB'] === true ? -2 : -1);
  const isRow = bias === undefined || (bias.dtype === 'float32' && bias.shape.at(-1) === columns && sizeOf(bias) === columns);
  if (!FUSED.includes(activation) || !isRow) return stock(_FusedMatMul, call);
  return matMul(call, { activation: activation as GemmActivation, ...(bias && { bias }) }) ?? stock(_FusedMatMul, call);
}

/** Undefined where the tensors are not float32 or do not fit: tfjs says how. */
function matMul(call: GpuKernelCall, ending: Ending = {}): TensorInfo | undefined {
  const { attrs, backend } = call;
  const [a, b] = [given(call, 'a'), given(call, 'b')];
  const [transposeA, transposeB] = [attrs['transposeA'] === true, attrs['transposeB'] === true];
  const [m, k] = lastTwo(a.shape, transposeA);
  const [kOfB, n] = lastTwo(b.shape, transposeB);
  if (a.dtype !== 'float32' || b.dtype !== 'float32' || k !== kOfB) return undefined;
  const [shapeA, shapeB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const shape = backend_util.assertAndGetBroadcastShape(shapeA, shapeB);
  const c = backend.allocate([...shape, m, n]);
  const batch = util.sizeFromShape(shape);
  const operands = { n, k, transposeA, transposeB, a, b, c, ...ending };
  if (!transposeA && sizeOf(b) === k * n && sizeOf(a) === batch * m * k) gemm(backend, { ...operands, m: batch * m }); // one B for all: more rows
  else if (batch > 0) gemm(backend, { ...operands, m, batch: batchAxes(shapeA, shapeB) });
  return c;
}

function lastTwo(shape: readonly number[], swap: boolean): [number, number] {
  const [rows, columns] = [shape.at(-2) as number, shape.at(-1) as number];
  return swap ? [columns, rows] : [rows, columns];
}

/** tfjs' own kernel of that name, on this backend's tensors. */
function stock(name: string, { inputs, attrs, backend }: GpuKernelCall): TensorInfo {
  const kernel = getKernel(name, 'webgpu');
  if (kernel === undefined) throw new Error(`stock: name must be a kernel of tfjs-backend-webgpu, got ${name}`);
  const present = Object.fromEntries(Object.entries(inputs).filter((entry): entry is [string, TensorInfo] => entry[1] !== undefined));
  return kernel.kernelFunc({ inputs: present, attrs: attrs as NamedAttrMap, backend: backend as GpuBackend & KernelBackend }) as TensorInfo;
}

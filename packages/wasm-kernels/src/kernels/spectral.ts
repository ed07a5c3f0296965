import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import { gemm } from '../gemm.ts';
import type { WasmBackend } from '../wasmBackend.ts';
import { chunksFor, floats, rowChunks, type KernelCall, type WasmKernel } from './kernel.ts';

/**
 * Layers with a spectral norm of their own (arXiv:2303.06296). A weight `o …` is read as a matrix of o rows.
 *
 * `evenkeel/powerIteration`: weight, v `i` → [u = W v/‖W v‖, Wᵀ u/‖Wᵀ u‖].
 * `evenkeel/sigmaReparam`: weight, gamma `1`, u `o`, v `i` → [(gamma/sigma)·W, sigma = uᵀ W v, a scalar].
 * `evenkeel/sigmaReparamGrad`: the same, sigma and dy → [dweight, dgamma]; u and v are constants.
 *
 * What is as small as a row or a column is computed in JavaScript, in float64.
 */
export const spectralKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/powerIteration', run: powerIteration },
  { name: 'evenkeel/sigmaReparam', run: sigmaReparam },
  { name: 'evenkeel/sigmaReparamGrad', run: sigmaReparamGrad },
];

function powerIteration(call: KernelCall): TensorInfo[] {
  const { backend } = call;
  const { weight, v } = floats(call, 'powerIteration', 'weight', 'v');
  const { rows, columns } = sizesOf(weight);
  const [u, next] = [backend.allocate([rows]), backend.allocate([columns])];
  timesVector(backend, weight, v, u);
  normalise(numbersOf(backend, u));
  gemm(backend, {
    m: 1, n: columns, k: rows, transposeA: false, transposeB: false, a: [backend.pointer(u)], b: [backend.pointer(weight)], c: [backend.pointer(next)],
  });
  normalise(numbersOf(backend, next));
  return [u, next];
}

function sigmaReparam(call: KernelCall): TensorInfo[] {
  const { backend } = call;
  const { weight, gamma, u, v } = floats(call, 'sigmaReparam', 'weight', 'gamma', 'u', 'v');
  const [y, sigma] = [backend.allocate(weight.shape), backend.allocate([])];
  const image = backend.temporary(backend.allocate([sizesOf(weight).rows]));
  timesVector(backend, weight, v, image);
  const [left, right] = [numbersOf(backend, u), numbersOf(backend, image)];
  const norm = numbersOf(backend, sigma);
  norm[0] = left.reduce((sum, value, i) => sum + value * (right[i] as number), 0);
  scaledWithoutOuter(backend, { x: weight, u, v, y, scale: first(backend, gamma) / norm[0], along: 0 });
  return [y, sigma];
}

function sigmaReparamGrad(call: KernelCall): TensorInfo[] {
  const { backend } = call;
  const { weight, gamma, u, v, sigma, dy } = floats(call, 'sigmaReparamGrad', 'weight', 'gamma', 'u', 'v', 'sigma', 'dy');
  const [dweight, dgamma] = [backend.allocate(weight.shape), backend.allocate([1])];
  const norm = first(backend, sigma);
  const along = innerProduct(backend, dy, weight) / norm;
  numbersOf(backend, dgamma)[0] = along;
  scaledWithoutOuter(backend, { x: dy, u, v, y: dweight, scale: first(backend, gamma) / norm, along });
  return [dweight, dgamma];
}

type Scaled = { readonly x: TensorInfo; readonly u: TensorInfo; readonly v: TensorInfo; readonly y: TensorInfo; readonly scale: number; readonly along: number };

/** y = scale · (x − along · u vᵀ) */
function scaledWithoutOuter(backend: WasmBackend, { x, u, v, y, scale, along }: Scaled): void {
  const { rows, columns } = sizesOf(x);
  const { chunks, perChunk } = rowChunks(rows, columns);
  const [from, left, right, to] = [x, u, v, y].map((each) => backend.pointer(each)) as [number, number, number, number];
  backend.run('scaledWithoutOuter', chunks, from, left, right, to, rows, columns, scale, scale * along, perChunk);
}

/** y = W v, W read once where it lies. */
function timesVector(backend: WasmBackend, weight: TensorInfo, v: TensorInfo, y: TensorInfo): void {
  const { rows, columns } = sizesOf(weight);
  gemm(backend, {
    m: 1, n: rows, k: columns, transposeA: false, transposeB: true, a: [backend.pointer(v)], b: [backend.pointer(weight)], c: [backend.pointer(y)],
  });
}

function innerProduct(backend: WasmBackend, x: TensorInfo, y: TensorInfo): number {
  const size = util.sizeFromShape(x.shape);
  const shares = backend.temporary(backend.allocate([chunksFor(size)]));
  backend.run('innerProducts', chunksFor(size), backend.pointer(x), backend.pointer(y), backend.pointer(shares), size);
  return numbersOf(backend, shares).reduce((sum, share) => sum + share, 0);
}

function normalise(x: Float32Array): void {
  const norm = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
  for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) / norm;
}

function sizesOf({ shape: [rows = 1, ...rest] }: TensorInfo): { rows: number; columns: number } {
  return { rows, columns: util.sizeFromShape(rest) };
}

const numbersOf = (backend: WasmBackend, x: TensorInfo): Float32Array => new Float32Array(backend.runtime.memory.buffer, backend.pointer(x), util.sizeFromShape(x.shape));

const first = (backend: WasmBackend, x: TensorInfo): number => numbersOf(backend, x)[0] as number;

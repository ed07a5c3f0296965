import type { TensorInfo } from '@tensorflow/tfjs-core';
import { optionalFloats, type KernelCall, type WasmKernel } from './kernel.ts';
import { chunkTable, listOf, writableListOf } from './lists.ts';

/**
 * What optimizers do, for all parameters in one call. Lists (`param.0`, `param.1`, …) are float32 tensors of equal shapes.
 *
 * `evenkeel/adamw`: param, grad, mu, nu → updates; mu and nu are written over.
 * `evenkeel/scaledSums`: x, optionally y and one scalar factor → factor·a·x + b·y.
 * `evenkeel/addScaled`: x, y → none; x becomes a·x + b·y.
 * `evenkeel/globalNorm`: x → √Σx², a scalar.
 */
export const optimizerKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/adamw', run: adamw },
  { name: 'evenkeel/scaledSums', run: scaledSums },
  { name: 'evenkeel/addScaled', run: addScaled },
  { name: 'evenkeel/globalNorm', run: globalNorm },
];

function adamw(call: KernelCall): TensorInfo[] {
  const { attrs, backend } = call;
  const params = listOf(call, 'adamw', 'param');
  const grads = listOf(call, 'adamw', 'grad', params);
  const mus = writableListOf(call, 'adamw', 'mu', params);
  const nus = writableListOf(call, 'adamw', 'nu', params);
  const updates = params.map(({ shape }) => backend.allocate(shape));
  const { table, chunks } = chunkTable(backend, [params, grads, mus, nus, updates], attrs.weightDecays as number[]);
  const { learningRate, beta1, beta2, eps, correction1, correction2 } = attrs as Record<string, number>;
  backend.run('adamw', chunks, table.pointer, ...([-learningRate!, beta1, 1 - beta1!, beta2, 1 - beta2!, eps, 1 / correction1!, 1 / correction2!] as number[]));
  backend.release(table);
  return updates;
}

function scaledSums(call: KernelCall): TensorInfo[] {
  const { attrs: { a, bs }, backend } = call;
  const xs = listOf(call, 'scaledSums', 'x');
  const ys = bs === undefined ? xs : listOf(call, 'scaledSums', 'y', xs);
  const factor = optionalFloats(call, 'scaledSums', 'factor.0')['factor.0'];
  const sums = xs.map(({ shape }) => backend.allocate(shape));
  const { table, chunks } = chunkTable(backend, [xs, ys, sums], bs as number[] | undefined);
  backend.run('scaledSums', chunks, table.pointer, a as number, backend.pointerOrZero(factor));
  backend.release(table);
  return sums;
}

function addScaled(call: KernelCall): TensorInfo[] {
  const { attrs: { a, b }, backend } = call;
  const xs = writableListOf(call, 'addScaled', 'x');
  const ys = listOf(call, 'addScaled', 'y', xs);
  const { table, chunks } = chunkTable(backend, [xs, ys, xs], xs.map(() => b as number));
  backend.run('scaledSums', chunks, table.pointer, a as number, 0);
  backend.release(table);
  return [];
}

function globalNorm(call: KernelCall): TensorInfo {
  const { backend } = call;
  const { table, chunks } = chunkTable(backend, [listOf(call, 'globalNorm', 'x')]);
  const norm = backend.allocate([]);
  const shares = backend.intermediate(Math.max(1, chunks) * 4);
  backend.run('squares', chunks, table.pointer, shares.pointer);
  backend.run('rootOfSum', 1, shares.pointer, chunks, backend.pointer(norm));
  backend.release(shares);
  backend.release(table);
  return norm;
}

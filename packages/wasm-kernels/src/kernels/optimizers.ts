import type { TensorInfo } from '@tensorflow/tfjs-core';
import { factoredKernels } from './factored.ts';
import { optionalFloats, type KernelCall, type WasmKernel } from './kernel.ts';
import { chunkTable, indicesOf, listOf, numbersOf, sizeOf, writableListOf } from './lists.ts';
import { listSumKernels } from './listSums.ts';

/**
 * What optimizers do, for all parameters in one call. Lists (`param.0`, `param.1`, …) are float32 tensors of equal shapes.
 *
 * `evenkeel/adamw`: param, grad, mu, nu → updates; mu and nu are written over.
 * `evenkeel/momentum`: param, grad, mu, optionally `factor.0` and `outFactor.0` (one number per tensor) → updates; mu is written over.
 * `evenkeel/scaledSums`: x, optionally y and `factor.0` (one number, or one per tensor) → factor·a·x + b·y, with attrs a, as?, b?, bs?: for all and for each.
 * `evenkeel/addScaled`: x, y → none; x becomes a·x + b·y.
 */
export const optimizerKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/adamw', run: adamw },
  { name: 'evenkeel/momentum', run: momentum },
  { name: 'evenkeel/scaledSums', run: scaledSums },
  { name: 'evenkeel/addScaled', run: addScaled },
  ...listSumKernels,
  ...factoredKernels,
];

/** A number of each tensor that the call may leave out. */
const perTensor = (numbers: unknown, list: readonly TensorInfo[], otherwise: number): readonly number[] => (numbers as number[] | undefined) ?? list.map(() => otherwise);

function adamw(call: KernelCall): TensorInfo[] {
  const { attrs, backend } = call;
  const params = listOf(call, 'adamw', 'param');
  const grads = listOf(call, 'adamw', 'grad', params);
  const mus = writableListOf(call, 'adamw', 'mu', params);
  const nus = writableListOf(call, 'adamw', 'nu', params);
  const updates = params.map(({ shape }) => backend.allocate(shape));
  const { table, chunks } = chunkTable(backend, [params, grads, mus, nus, updates], attrs.weightDecays as number[], perTensor(attrs.scales, params, 1));
  const { learningRate, beta1, beta2, eps, correction1, correction2 } = attrs as Record<string, number>;
  backend.run('adamw', chunks, table.pointer, ...([-learningRate!, beta1, 1 - beta1!, beta2, 1 - beta2!, eps, 1 / correction1!, 1 / correction2!] as number[]));
  backend.release(table);
  return updates;
}

/** attrs: learningRate, keep, take, aheadKeep, aheadTake, sign, weightDecays, optionally penalties (0) and scales (1). */
function momentum(call: KernelCall): TensorInfo[] {
  const { attrs, backend } = call;
  const params = listOf(call, 'momentum', 'param');
  const grads = listOf(call, 'momentum', 'grad', params);
  const mus = writableListOf(call, 'momentum', 'mu', params);
  const factors = numbersOf(call, 'momentum', 'factor', params);
  const outFactors = numbersOf(call, 'momentum', 'outFactor', params);
  const updates = params.map(({ shape }) => backend.allocate(shape));
  const numbers = [attrs.weightDecays as number[], perTensor(attrs.penalties, params, 0), perTensor(attrs.scales, params, 1), indicesOf(params)];
  const { table, chunks } = chunkTable(backend, [params, grads, mus, updates], ...numbers);
  const { learningRate, keep, take, aheadKeep, aheadTake } = attrs as Record<string, number>;
  backend.run('momentum', chunks, table.pointer, ...([-learningRate!, keep, take, aheadKeep, aheadTake] as number[]), attrs.sign === true ? 1 : 0, factors, outFactors);
  backend.release(table);
  return updates;
}

function scaledSums(call: KernelCall): TensorInfo[] {
  const { attrs: { a, as, b = 1, bs }, backend } = call;
  const xs = listOf(call, 'scaledSums', 'x');
  const ys = bs === undefined ? xs : listOf(call, 'scaledSums', 'y', xs);
  const factor = optionalFloats(call, 'scaledSums', 'factor.0')['factor.0'];
  const factors = factor !== undefined && sizeOf(factor) !== 1 ? numbersOf(call, 'scaledSums', 'factor', xs) : backend.pointerOrZero(factor);
  const sums = xs.map(({ shape }) => backend.allocate(shape));
  const { table, chunks } = chunkTable(backend, [xs, ys, sums], perTensor(bs, xs, 0), perTensor(as, xs, 1), indicesOf(xs));
  backend.run('scaledSums', chunks, table.pointer, a as number, factors, factor === undefined ? 0 : sizeOf(factor), b as number);
  backend.release(table);
  return sums;
}

function addScaled(call: KernelCall): TensorInfo[] {
  const { attrs: { a, b }, backend } = call;
  const xs = writableListOf(call, 'addScaled', 'x');
  const ys = listOf(call, 'addScaled', 'y', xs);
  const { table, chunks } = chunkTable(backend, [xs, ys, xs], perTensor(undefined, xs, 1), perTensor(undefined, xs, 1), indicesOf(xs));
  backend.run('scaledSums', chunks, table.pointer, a as number, 0, 0, b as number);
  backend.release(table);
  return [];
}

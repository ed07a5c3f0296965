import type { TensorInfo } from '@tensorflow/tfjs-core';
import { chunksFor, type KernelCall, type WasmKernel } from './kernel.ts';
import { chunkTable, indicesOf, listOf, numbersOf, sizeOf } from './lists.ts';

/**
 * Sums over whole tensors of the list x, float32.
 *
 * `evenkeel/globalNorm`: √Σx² over all of them, a scalar.
 * `evenkeel/means`: the mean of each; `evenkeel/meanSquares`: the mean of (x − centre)², with `centre.0`: one number per tensor, or 0.
 * With `unless.0`, one number per tensor, those of which it is not 0 are not read, and have the mean 0, as empty ones have.
 */
export const listSumKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/globalNorm', run: globalNorm },
  { name: 'evenkeel/means', run: (call) => means(call, 'means', 1) },
  { name: 'evenkeel/meanSquares', run: (call) => means(call, 'meanSquares', 2) },
];

function globalNorm(call: KernelCall): TensorInfo {
  const { backend } = call;
  const xs = listOf(call, 'globalNorm', 'x');
  const { table, chunks } = chunkTable(backend, [xs], indicesOf(xs));
  const norm = backend.allocate([]);
  const shares = backend.intermediate(Math.max(1, chunks) * 4);
  backend.run('shares', chunks, table.pointer, shares.pointer, 2, 0, 0);
  backend.run('rootOfSum', 1, shares.pointer, chunks, backend.pointer(norm));
  backend.release(shares);
  backend.release(table);
  return norm;
}

function means(call: KernelCall, fn: string, power: 1 | 2): TensorInfo {
  const { backend } = call;
  const xs = listOf(call, fn, 'x');
  const centres = numbersOf(call, fn, 'centre', xs);
  const unless = numbersOf(call, fn, 'unless', xs);
  const { table, chunks } = chunkTable(backend, [xs], indicesOf(xs));
  const result = backend.allocate([xs.length]);
  const block = backend.intermediate(Math.max(1, chunks) * 4);
  backend.run('shares', chunks, table.pointer, block.pointer, power, centres, unless);
  const shares = new Float32Array(backend.runtime.memory.buffer, block.pointer, chunks);
  const averages = new Float32Array(shares.buffer, backend.pointer(result), xs.length);
  let at = 0;
  xs.forEach((x, i) => { averages[i] = shares.subarray(at, at += chunksFor(sizeOf(x))).reduce((sum, share) => sum + share, 0) / Math.max(1, sizeOf(x)); });
  backend.release(block);
  backend.release(table);
  return result;
}

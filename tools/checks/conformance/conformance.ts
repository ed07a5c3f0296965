/**
 * The conformance suite: every kernel that is registered for the GPU, once per row of the battery and size, against the reference on
 * tfjs' CPU backend. It needs no test runner, so that it runs in a browser page and in a bare process on any driver.
 */
import { checkFunction, GPU_BACKEND } from '@evenkeel/core-tensor';
import '@evenkeel/flash-attention'; // registers the kernels of attention
import { sigmaReparam } from '@evenkeel/sigma-reparam';
import { getKernelsForBackend } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import type { Closeness } from '@evenkeel/testing/numbers';
import { comparisons, isNonZero } from '../../../packages/wasm-kernels/test/battery/calls.ts';
import { nameOf, ROWS, type Row } from '../../../packages/wasm-kernels/test/battery/rows.ts';
import { KERNELS } from '../../../packages/webgpu-kernels/src/kernels/index.ts';
import { GPU_ROWS } from '../../../packages/webgpu-kernels/test/rows.ts';
import { compareCase, OP_CASES } from './opCases.ts';

/** Conformance — a kernel, its largest error as a share of what is allowed (at most 1), and what was wrong, row by row. */
export type Conformance = { readonly kernel: string; readonly rows: number; readonly worst: number; readonly failures: readonly string[] };

/** Sizes of one element, of less than a subgroup, and of more than one that is no multiple of four. */
const SIZES = [1, 3, 33];

/** conformance — the verdict on every kernel, on the GPU backend, which must be selected. */
export async function conformance(kernels = registeredKernels(), rows: readonly Row[] = [...ROWS, ...GPU_ROWS]): Promise<Conformance[]> {
  const results: Conformance[] = [];
  for (const kernel of kernels) results.push(await conformanceOf(kernel, rows.filter((row) => row.kernel === kernel)));
  for (const kernel of new Set(rows.map((row) => row.kernel))) if (kernel.startsWith('evenkeel/') && !kernels.includes(kernel)) results.push({ kernel, rows: 0, worst: 0, failures: ['must be registered, as the battery has rows for it'] });
  return results;
}

/** registeredKernels — the names of all kernels of ours for the GPU, those of techniques included. */
export function registeredKernels(): string[] {
  checkFunction('conformance', 'sigmaReparam', sigmaReparam, 'an operation that registers its kernels'); // or bundlers would leave it out
  const fused = getKernelsForBackend(GPU_BACKEND).map(({ kernelName }) => kernelName).filter((name) => name.startsWith('evenkeel/'));
  return [...new Set([...KERNELS.map(({ name }) => name), ...fused])];
}

async function conformanceOf(kernel: string, rows: readonly Row[]): Promise<Conformance> {
  const cases = OP_CASES.filter(({ kernels }) => kernels.includes(kernel));
  const failures = rows.length + cases.length === 0 ? ['the battery must have a row for it, has none'] : [];
  let worst = 0;
  const check = async (title: string, compare: () => Promise<readonly Closeness[]>): Promise<void> => {
    try {
      const all = await compare();
      worst = Math.max(worst, ...all.map(({ share }) => share));
      failures.push(...all.flatMap(({ failure }) => (failure === undefined ? [] : [`${title}: ${failure}`])));
    } catch (error) {
      failures.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  for (const row of rows) {
    for (const n of SIZES) await check(`${nameOf(row)}, size ${n}`, () => comparisons(row, n));
    // A kernel that never ran gives zeros: a row where they are right proves nothing, unless NaN and infinities make a difference.
    if (row.isZero === true) await check(`${nameOf(row)}, NaN and infinities`, () => comparisons(row, SIZES.at(-1)!, { special: 0 }));
    else if (!await isNonZero(row, SIZES.at(-1)!)) failures.push(`${nameOf(row)}: the reference must give numbers other than 0, which a kernel that never ran gives too`);
  }
  for (const each of cases) for (const n of SIZES) await check(`${kernel} ${each.title}, size ${n}`, () => compareCase(each, n));
  return { kernel, rows: rows.length + cases.length, worst, failures };
}

import { GPU_BACKEND, runKernel, useDevice } from '@evenkeel/core-tensor';
import '@evenkeel/flash-attention';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { dispose, setBackend, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Results64 } from './attention64.ts';
import { makeGiven, maskOf, norm, runAll, type GpuCase } from './gpuCases.ts';

const CASES: GpuCase[] = [
  { title: 'causal', sizes: { seqLen: 33, kvLen: 37, causal: true, numHeads: 4, numKvHeads: 2 } },
  { title: 'causal, without lanes that hand on what they read', tile: { lanes: false, rows: 2 }, sizes: { seqLen: 33, kvLen: 37, causal: true, numHeads: 4, numKvHeads: 2 } },
  { title: 'heads of width 64', sizes: { batchSize: 1, seqLen: 19, kvLen: 21, headDim: 64 } },
  { title: 'rows split among threads without lanes', tile: { lanes: false, split: 4 }, sizes: { batchSize: 1, seqLen: 19, kvLen: 21, headDim: 16 } },
  { title: 'everything, of odd width', slopes: 'h', bias: [false, true, true, true], dropout: 0.2, sizes: { softcap: 2, ...maskOf(9, 33, 4, 8), seqLen: 9, kvLen: 33, headDim: 5, causal: true, numHeads: 3, numKvHeads: 1 } },
];

vi.setConfig({ testTimeout: 300_000, hookTimeout: 60_000 }); // compiling for a CPU takes seconds per program

forEachBackend([GPU_BACKEND], () => {
  beforeAll(async () => void await useDevice('webgpu', [webgpu({ precision: 'f16' })]));
  afterAll(async () => {
    await setBackend('cpu');
    await useDevice('webgpu', [webgpu()]);
  });

  it.each(CASES)('with precision f16, results and gradients are those of q, k, v and dy rounded to f16, and not of themselves: $title', async (each) => {
    const given = makeGiven(each, Math.f16round);
    const { expected: exact, ...unrounded } = makeGiven(each);
    const results = runAll(given);
    for (const [name, result] of Object.entries(results) as [keyof Results64, Tensor][]) {
      const values = await result.data();
      await expectClose(values, given.expected[name], { rtol: 1e-4, atol: 2e-5 });
      const error = (expected: Float64Array): number => norm(values.map((x, i) => x - expected[i]!)) / norm(expected);
      expect(error(exact[name]), name).toBeGreaterThan(2e-5);
      expect(error(given.expected[name]), name).toBeLessThan(2e-6);
    }
    dispose([given.inputs, given.dy, unrounded.inputs, unrounded.dy, results] as never);
  });

  it('with precision f16, sums, softmax and results have the range and the digits of f32', async () => {
    // 300 keys with scores of 1e5, beyond f16, and values whose sum is beyond it too; means of 1 + 2⁻¹⁰ and 1 keep their digits.
    const ones = (size: number, value: number): Float32Array => new Float32Array(size).fill(value);
    const q = tensor(ones(8, 112), [1, 1, 1, 8]);
    const k = tensor(ones(300 * 8, 112), [1, 300, 1, 8]);
    const v = tensor(ones(300 * 8, 60000).map((x, i) => (i % 8 < 4 ? x : i % 16 < 8 ? 1 : 1 + 2 ** -10)), [1, 300, 1, 8]);
    const [out, lse] = runKernel<Tensor[]>('evenkeel/attention', { q, k, v }, { scale: 1, causal: false, windowLeft: -1, windowRight: -1 }) as [Tensor, Tensor];
    await expectClose(out, Float32Array.from({ length: 8 }, (_, c) => (c < 4 ? 60000 : 1 + 2 ** -11)), { rtol: 2e-6 });
    await expectClose(lse, Float32Array.of(8 * 112 ** 2 + Math.log(300)), { rtol: 1e-7 });
    dispose([q, k, v, out, lse]);
  });
});

import { GPU_BACKEND, runKernel } from '@evenkeel/core-tensor';
import '@evenkeel/flash-attention';
import { expectClose, forEachBackend, randomTensor } from '@evenkeel/testing';
import { dispose, split, reshape, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it, vi } from 'vitest';
import type { Results64 } from './attention64.ts';
import { makeGiven, maskOf, norm, runAll, type GpuCase } from './gpuCases.ts';

/** What GPUs run, whose subgroups are wider than 8 lanes or of several sizes. */
const tile = { lanes: false };
const all = [true, true, true, true] as const;

const CASES: GpuCase[] = [
  { title: 'dropout, grouped heads', dropout: 0.3, sizes: { seqLen: 33, kvLen: 37, causal: true, numHeads: 4, numKvHeads: 2 } },
  { title: 'a soft cap, a window and slopes', slopes: 'h', sizes: { seqLen: 19, kvLen: 33, softcap: 1.5, window: [9, 4] } },
  { title: 'a block mask along the tiles, and a bias', bias: all, sizes: { batchSize: 1, seqLen: 130, kvLen: 130, ...maskOf(130, 130, 64, 64) } },
  { title: 'a block mask along the tiles, and a bias of keys', bias: [false, true, false, true], sizes: { batchSize: 1, seqLen: 130, kvLen: 130, ...maskOf(130, 130, 64, 64) } },
  { title: 'a block mask across the tiles, two rows a thread', tile: { rows: 2 }, sizes: { seqLen: 35, kvLen: 37, ...maskOf(35, 37, 12, 5), causal: true } },
  { title: 'everything', slopes: 'bh', bias: all, dropout: 0.2, tile: { rows: 2 }, sizes: { seqLen: 33, kvLen: 33, softcap: 2, ...maskOf(33, 33, 12, 5), window: [20, 3], numHeads: 4, numKvHeads: 2 } },
  { title: 'everything, one key head, of odd width', slopes: 'h', bias: [false, true, true, false], dropout: 0.2, sizes: { softcap: 2, ...maskOf(9, 33, 4, 8), seqLen: 9, kvLen: 33, headDim: 5, causal: true, numHeads: 3, numKvHeads: 1 } },
  { title: 'everything, rows split among threads', slopes: 'h', bias: [false, false, false, true], dropout: 0.2, tile: { split: 4 }, sizes: { softcap: 2, ...maskOf(9, 17, 4, 8), seqLen: 9, kvLen: 17, headDim: 32, causal: true } },
];

vi.setConfig({ testTimeout: 300_000 }); // compiling for a CPU takes seconds per program

forEachBackend([GPU_BACKEND], () => {
  it.each(CASES)('without lanes that hand on what they read, results and gradients of attentionGeneral agree with float64: $title', async (each) => {
    const given = makeGiven({ ...each, tile: { ...each.tile, ...tile } });
    const results = runAll(given);
    for (const [name, result] of Object.entries(results) as [keyof Results64, Tensor][]) {
      expect(norm(given.expected[name]), name).toBeGreaterThan(0);
      await expectClose(await result.data(), given.expected[name], { rtol: 1e-4, atol: 2e-5 });
    }
    dispose([given.inputs, given.dy, results] as never);
  });

  it('without lanes, attentionPacked and its gradient are attention of the parts, bit by bit', async () => {
    const [b, t, numHeads, numKvHeads, d] = [2, 33, 4, 2, 8];
    const qkv = randomTensor([b, t, (numHeads + 2 * numKvHeads) * d], { seed: 1 });
    const dy = randomTensor([b, t, numHeads, d], { seed: 2 });
    const attrs = { scale: 0.3, causal: true, windowLeft: 20, windowRight: -1, dropout: 0.2, seed: 3, tile };
    const counts = [numHeads, numKvHeads, numKvHeads];
    const parts = (x: Tensor): Tensor[] => tidy(() => split(x, counts.map((count) => count * d), -1).map((part, i) => reshape(part, [b, t, counts[i]!, d])));
    const [q, k, v] = parts(qkv) as [Tensor, Tensor, Tensor];
    const [out, lse] = runKernel<Tensor[]>('evenkeel/attention', { q, k, v }, attrs) as [Tensor, Tensor];
    const apart = runKernel<Tensor[]>('evenkeel/attentionGrad', { q, k, v, out, lse, dy }, attrs);
    const packedAttrs = { ...attrs, numHeads, numKvHeads };
    const [packedOut, packedLse] = runKernel<Tensor[]>('evenkeel/attentionPacked', { qkv }, packedAttrs) as [Tensor, Tensor];
    const [dqkv] = runKernel<Tensor[]>('evenkeel/attentionPackedGrad', { qkv, out: packedOut, lse: packedLse, dy }, packedAttrs) as [Tensor];
    const packed = parts(dqkv);
    expect(norm(await out.data())).toBeGreaterThan(1);
    for (const [i, expected] of [out, lse, ...apart].entries()) await expectClose([packedOut, packedLse, ...packed][i]!, expected, { rtol: 0, atol: 0 });
    dispose([qkv, dy, q, k, v, out, lse, apart, packedOut, packedLse, dqkv, packed]);
  });
});

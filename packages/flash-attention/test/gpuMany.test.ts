import { GPU_BACKEND, runKernel, vjp } from '@evenkeel/core-tensor';
import { flashAttentionPacked } from '@evenkeel/flash-attention';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { concat, dispose, reshape, tensor1d, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it, vi } from 'vitest';
import type { Results64 } from './attention64.ts';
import { makeGiven, runAll, type GpuCase } from './gpuCases.ts';

vi.setConfig({ testTimeout: 300_000 }); // compiling for a CPU takes seconds per program

/** More than the 65,535 workgroups that an axis may have. */
const MANY = 70_000;
const small = { batchSize: MANY, seqLen: 2, kvLen: 2, numHeads: 1, headDim: 4 };
const tolerance = { rtol: 1e-4, atol: 2e-5 };

const CASES: GpuCase[] = [
  { title: 'sequences', sizes: { ...small, causal: true } },
  { title: 'heads', slopes: 'h', sizes: { ...small, batchSize: 1, numHeads: MANY, numKvHeads: MANY / 2 } },
  { title: 'heads times sequences, and a bias of each', bias: [true, true, false, true], sizes: { ...small, batchSize: 2000, numHeads: 40, headDim: 1 } },
  { title: 'heads times sequences, and a bias of each pair of each', bias: [true, true, true, true], sizes: { ...small, batchSize: 2000, numHeads: 40, headDim: 1, causal: true } },
];

forEachBackend([GPU_BACKEND], () => {
  it.each(CASES)('attention of more than 65,535 $title agrees with float64', async (each) => {
    const given = makeGiven(each);
    const results = runAll(given);
    for (const [name, result] of Object.entries(results) as [keyof Results64, Tensor][]) await expectClose(await result.data(), given.expected[name], tolerance);
    dispose([given.inputs, given.dy, results] as never);
  });

  it('flashAttentionPacked of 70,000 sequences and its gradient agree with float64', async () => {
    const { inputs, dy, expected } = makeGiven({ title: '', sizes: { ...small, causal: true } });
    const flat = (name: 'q' | 'k' | 'v'): Tensor => reshape(inputs[name]!, [MANY, 2, 4]);
    const qkv = tidy(() => concat([flat('q'), flat('k'), flat('v')], -1));
    const { value, grads: [dqkv] } = vjp(() => flashAttentionPacked(qkv, { numHeads: 1, causal: true }), [qkv], dy) as { value: Tensor; grads: [Tensor] };
    await expectClose(await value.data(), expected.out, tolerance);
    const found = await dqkv.data();
    for (const [part, name] of (['dq', 'dk', 'dv'] as const).entries()) {
      await expectClose(expected[name].map((_, i) => found[12 * Math.floor(i / 4) + 4 * part + (i % 4)]!), expected[name], tolerance);
    }
    dispose([inputs, dy, qkv, value, dqkv] as never);
  });

  it('attentionVarlen of 70,000 sequences one after another and its gradients agree with float64', async () => {
    const { inputs, dy, expected } = makeGiven({ title: '', sizes: { ...small, causal: true } });
    const [q, k, v, dOut] = [inputs.q, inputs.k, inputs.v, dy].map((x) => reshape(x!, [2 * MANY, 1, 4])) as [Tensor, Tensor, Tensor, Tensor];
    const ends = tensor1d(Int32Array.from({ length: MANY + 1 }, (_, i) => 2 * i), 'int32');
    const given = { q, k, v, cuSeqlensQ: ends, cuSeqlensK: ends };
    const attrs = { scale: 0.5, causal: true, windowLeft: -1, windowRight: -1, dropout: 0, seed: 0, maxSeqlenQ: 2, maxSeqlenK: 2 };
    const [out, lse] = runKernel<Tensor[]>('evenkeel/attentionVarlen', given, attrs) as [Tensor, Tensor];
    const grads = runKernel<Tensor[]>('evenkeel/attentionVarlenGrad', { ...given, out, lse, dy: dOut }, attrs);
    expect(out.shape).toEqual([2 * MANY, 1, 4]);
    for (const [i, name] of (['out', 'lse', 'dq', 'dk', 'dv'] as const).entries()) await expectClose(await [out, lse, ...grads][i]!.data(), expected[name], tolerance);
    dispose([inputs, dy, q, k, v, dOut, ends, out, lse, grads] as never);
  });
});

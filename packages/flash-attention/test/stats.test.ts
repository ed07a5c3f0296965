import { valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionPacked, type FlashAttentionOptions } from '@evenkeel/flash-attention';
import { attention64, expectClose, expectNoLeak, forEachBackend, randomTensor, type AttentionSizes64 } from '@evenkeel/testing';
import { concat, Concat, dispose, keep, profile, reshape, Slice, SplitV, sum, tensor, tidy, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { makeCase, withTerms, type AttentionCase, type Terms } from './cases.ts';

type Case = Terms & { title: string; sizes?: Partial<AttentionSizes64> };
type Made = AttentionCase & { terms: { alibiSlopes?: Tensor; bias?: Tensor } };
type Observed = Record<string, Tensor>;

const base: AttentionSizes64 = { batchSize: 2, seqLen: 65, kvLen: 65, numHeads: 2, headDim: 8 };
const all = [true, true, true, true] as const;
const STATS = ['out', 'lse', 'rowMax', 'entropy'] as const;

const CASES: Case[] = [
  { title: 'one token', sizes: { seqLen: 1, kvLen: 1 } },
  { title: 'three tokens, heads of width 1', sizes: { seqLen: 3, kvLen: 3, headDim: 1 } },
  { title: '130 tokens, causal, grouped heads', sizes: { seqLen: 130, kvLen: 130, causal: true, numHeads: 6, numKvHeads: 2 } },
  { title: '200 tokens, one key head of width 5', sizes: { batchSize: 1, seqLen: 200, kvLen: 200, causal: true, numHeads: 3, numKvHeads: 1, headDim: 5 } },
  { title: 'a window within a tile', sizes: { seqLen: 130, kvLen: 130, window: [7, 3] } },
  { title: 'dropout', dropout: 0.4, sizes: { causal: true } },
  { title: 'slopes', slopes: 'h', sizes: { causal: true } },
  { title: 'a bias', bias: [false, true, true, true] },
  { title: 'a soft cap', slopes: 'h', sizes: { causal: true, softcap: 0.7, numHeads: 4, numKvHeads: 2 } },
  { title: 'everything', slopes: 'bh', bias: all, dropout: 0.3, sizes: { causal: true, window: [50, 0], numHeads: 4, numKvHeads: 2 } },
];
/** Whose q, k and v are not of one tensor. */
const APART: Case[] = [
  { title: '7 queries, 130 keys', sizes: { seqLen: 7, kvLen: 130, causal: true } },
  { title: 'queries that see nothing', sizes: { seqLen: 70, kvLen: 3, causal: true } },
  { title: 'scores of 1e3', sizes: { scale: 300, causal: true } },
];

function make({ title: _, sizes, ...terms }: Case): Made {
  const made = withTerms(makeCase({ ...base, ...sizes }), terms);
  return { ...made, options: { ...made.options, softcap: made.sizes.softcap } };
}
const pack = ({ q, k, v }: Made): Tensor => tidy(() => {
  const [B, T] = q.shape;
  return concat([q, k, v].map((x) => reshape(x, [B, T!, -1])), -1);
});
const headsOf = ({ sizes: { numHeads, numKvHeads = numHeads } }: Made) => ({ numHeads, numKvHeads });

/** Ways to call attention, each on tensors of its own. */
const callsOf = (made: Made): { inputs: Tensor[]; call: (options: FlashAttentionOptions, ...xs: Tensor[]) => Tensor; stats: (...xs: Tensor[]) => Observed }[] => [
  {
    inputs: [made.q, made.k, made.v],
    call: (options, q, k, v) => flashAttention(q!, k!, v!, options as FlashAttentionOptions & { returnLse?: false }),
    stats: (q, k, v) => flashAttention(q!, k!, v!, { ...made.options, returnStats: true }),
  },
  ...(made.sizes.seqLen !== made.sizes.kvLen ? [] : [{
    inputs: [pack(made)],
    call: (options: FlashAttentionOptions, qkv?: Tensor) => flashAttentionPacked(qkv!, { ...headsOf(made), ...options } as never) as Tensor,
    stats: (qkv?: Tensor) => flashAttentionPacked(qkv!, { ...headsOf(made), ...made.options, returnStats: true }) as Observed,
  }]),
];

forEachBackend((backend) => {
  it.each([...CASES, ...APART])('flashAttention and its packed form tell the statistics of the float64 oracle, with returnStats and to observe: $title', async (each) => {
    const made = make(each);
    const expected = attention64(made.values.q, made.values.k, made.values.v, made.sizes);
    const large = Math.max(...expected.rowMax.map((x) => (Number.isFinite(x) ? Math.abs(x) : 0)));
    for (const { inputs, call, stats } of callsOf(made)) {
      const observed: Observed = {};
      const out = call({ ...made.options, observe: (name, value) => { observed[name] = keep(value.clone()); } }, ...inputs);
      const results = stats(...inputs);
      expect(Object.keys(observed).sort()).toEqual(['entropy', 'rowMax']);
      for (const name of STATS) await expectClose(results[name]!, expected[name], { rtol: 1e-5, atol: 1e-5 * Math.max(1, large / 10) });
      for (const name of ['rowMax', 'entropy'] as const) await expectClose(observed[name]!, await results[name]!.data(), { rtol: 0, atol: 0 });
      dispose([observed, out, results] as never);
      if (inputs.length === 1) dispose(inputs);
    }
    dispose([made.q, made.k, made.v, made.terms] as never);
  });

  it.each([...CASES, ...APART])('being observed changes no bit of the result and of its gradients: $title', async (each) => {
    const made = make(each);
    const dy = randomTensor(made.q.shape, { seed: 5 });
    for (const { inputs, call } of callsOf(made)) {
      const xs = [...inputs, ...(made.terms.bias ? [made.terms.bias] : [])];
      const plain = vjp(() => call(made.options, ...inputs), xs, dy);
      let told = 0;
      const observed = vjp(() => call({ ...made.options, observe: () => { told++; } }, ...inputs), xs, dy);
      expect(told).toBe(2);
      await expectClose(observed.value, await plain.value.data(), { rtol: 0, atol: 0 });
      for (const [i, grad] of observed.grads.entries()) await expectClose(grad, await plain.grads[i]!.data(), { rtol: 0, atol: 0 });
      dispose([plain, observed] as never);
      if (inputs.length === 1) dispose(inputs);
    }
    dispose([made.q, made.k, made.v, made.terms, dy] as never);
  });

  it('equal scores of n visible keys have entropy ln n and row maximum 0; one far above the rest has entropy 0', async () => {
    const made = make({ title: '', sizes: { seqLen: 130, kvLen: 130, causal: true } });
    const q = zeros(made.q.shape);
    const even = flashAttention(q, made.k, made.v, { causal: true, returnStats: true });
    await expectClose(even.entropy, Float64Array.from({ length: 4 * 130 }, (_, i) => Math.log(1 + (i % 130))), { rtol: 1e-6, atol: 1e-6 });
    await expectClose(even.rowMax, new Float32Array(4 * 130), { rtol: 0, atol: 0 });
    // Query i has a score of 200 with key i, and of 0 with all others.
    const unit = tensor(Float32Array.from({ length: 70 * 70 }, (_, i) => (i % 71 === 0 ? 1 : 0)), [1, 70, 1, 70]);
    const peaked = flashAttention(unit, unit, unit, { scale: 200, returnStats: true });
    await expectClose(peaked.entropy, new Float32Array(70), { rtol: 0, atol: 0 });
    await expectClose(peaked.rowMax, new Float32Array(70).fill(200), { rtol: 1e-6 });
    dispose([made.q, made.k, made.v, q, even, unit, peaked] as never);
  });

  it('padding takes no part in the statistics, and a query that sees nothing else is told of as one that sees nothing', async () => {
    const made = make({ title: '', sizes: { seqLen: 5, kvLen: 70 } });
    const keyPaddingMask = tensor(Array.from({ length: 140 }, (_, i) => i < 67), [2, 70], 'bool'); // the second sequence has nothing else
    const observed: Observed = {};
    const out = flashAttention(made.q, made.k, made.v, { keyPaddingMask, observe: (name, value) => { observed[name] = keep(value.clone()); } });
    const expected = attention64(made.values.q, made.values.k, made.values.v, { ...made.sizes, hides: (b, _t, s) => b === 1 || s >= 67 });
    for (const name of ['rowMax', 'entropy'] as const) await expectClose(observed[name]!, expected[name], { rtol: 1e-5, atol: 1e-5 });
    await expectClose(out, expected.out, { rtol: 1e-5, atol: 1e-5 });
    dispose([made.q, made.k, made.v, keyPaddingMask, observed, out] as never);
  });

  it('a query whose visible scores are all −Infinity has row maximum −Infinity and entropy NaN, and a NaN makes both NaN', async () => {
    const { q, k, v } = makeCase({ ...base, batchSize: 1, seqLen: 3, kvLen: 70 });
    const bias = tensor(Float32Array.from({ length: 210 }, (_, i) => (i < 70 ? -Infinity : i === 99 ? NaN : 0)), [1, 1, 3, 70]);
    const stats = flashAttention(q, k, v, { bias, returnStats: true });
    const [rowMax, entropy] = [await stats.rowMax.data(), await stats.entropy.data()];
    expect([rowMax[0], rowMax[3]]).toEqual([-Infinity, -Infinity]);
    expect([0, 3].map((i) => entropy[i])).toEqual([NaN, NaN]);
    expect([1, 4].flatMap((i) => [rowMax[i], entropy[i]])).toEqual([NaN, NaN, NaN, NaN]);
    expect([2, 5].every((i) => Number.isFinite(rowMax[i]) && entropy[i]! > 0)).toBe(true);
    dispose([q, k, v, bias, stats] as never);
  });

  it('flashAttention(…, { observe }) leaves nothing behind, also in gradients', async () => {
    const made = make(CASES.at(-1)!);
    const observe = (): void => {};
    for (const { inputs, call } of callsOf(made)) {
      await expectNoLeak(() => call({ ...made.options, observe }, ...inputs));
      await expectNoLeak(() => valueAndGrad((p: { x: Tensor }) => sum(call({ ...made.options, observe }, p.x, ...inputs.slice(1))), { x: inputs[0]! }));
      if (inputs.length === 1) dispose(inputs);
    }
    dispose([made.q, made.k, made.v, made.terms] as never);
  });

  if (backend !== 'cpu') {
    it('observed attention is one kernel, and its gradient that of attention which is not observed: packed tensors are not taken apart', async () => {
      const [qkv, q, dy] = [[1, 9, 48], [1, 9, 2, 8], [1, 9, 2, 8]].map((shape, seed) => randomTensor(shape, { seed })) as [Tensor, Tensor, Tensor];
      const kernelsOf = async (f: () => Tensor, x: Tensor): Promise<string[]> => {
        const { kernelNames } = await profile(() => vjp(f, [x], dy) as never);
        return kernelNames.filter((name) => name.startsWith('evenkeel/') || [Slice, SplitV, Concat].includes(name));
      };
      const options = { causal: true, observe: () => {} };
      expect(await kernelsOf(() => flashAttention(q, dy, dy, options), q)).toEqual(['evenkeel/attentionStats', 'evenkeel/attentionGrad']);
      expect(await kernelsOf(() => flashAttentionPacked(qkv, { numHeads: 2, ...options }), qkv)).toEqual(['evenkeel/attentionPackedStats', 'evenkeel/attentionPackedGrad']);
      dispose([qkv, q, dy]);
    });
  }
});

import { valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { attentionReference, flashAttention, type FlashAttentionOptions } from '@evenkeel/flash-attention';
import { attention64, checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomArray, type AttentionSizes64 } from '@evenkeel/testing';
import { concat, dispose, reshape, slice, sum, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { makeCase, withTerms, type AttentionCase, type Terms } from './cases.ts';

type Case = Terms & { title: string; lengths: readonly [number, number]; left?: boolean; sizes?: Partial<AttentionSizes64>; options?: FlashAttentionOptions };

const base: AttentionSizes64 = { batchSize: 2, seqLen: 7, kvLen: 7, numHeads: 2, headDim: 4 };

/** `lengths` of the two sequences; padding stands right of them, or with `left` on the other side. */
const CASES: Case[] = [
  { title: 'on the right', lengths: [7, 3] },
  { title: 'on the right, causal', lengths: [7, 3], sizes: { causal: true } },
  { title: 'on the left, causal: the first queries see padding only', lengths: [7, 3], left: true, sizes: { causal: true } },
  { title: 'on the left, in a window, with ALiBi and grouped heads', lengths: [5, 2], left: true, slopes: 'h', sizes: { window: [2, 0], numHeads: 4, numKvHeads: 2 } },
  { title: 'a sequence of padding only', lengths: [4, 0] },
  { title: 'with a bias and dropout', lengths: [6, 2], bias: [false, true, true, true], dropout: 0.3 },
  { title: 'with a cap', lengths: [6, 2], sizes: { softcap: 1, causal: true } },
];

type Padded = AttentionCase & { mask: Tensor; terms: { bias?: Tensor } };

function make({ title: _, lengths, left = false, sizes, options, ...terms }: Case): Padded {
  const made = withTerms(makeCase({ ...base, ...sizes }), terms);
  const { batchSize, kvLen, softcap } = made.sizes;
  const takesPart = (b: number, s: number): boolean => (left ? s >= kvLen - lengths[b]! : s < lengths[b]!);
  const mask = tensor(Array.from({ length: batchSize * kvLen }, (_, i) => takesPart(Math.floor(i / kvLen), i % kvLen)), [batchSize, kvLen], 'bool');
  return {
    ...made, mask, options: { ...made.options, ...options, softcap, keyPaddingMask: mask } as Padded['options'],
    sizes: { ...made.sizes, hides: (b, _t, s) => !takesPart(b, s) },
  };
}

const free = (made: Padded, ...more: unknown[]): void => { dispose([made.q, made.k, made.v, made.terms, made.mask, more] as never); };

forEachBackend(() => {
  it.each(CASES)('flashAttention(q, k, v, { keyPaddingMask }) agrees with the float64 oracle: $title', async (each) => {
    const made = make(each);
    const expected = attention64(made.values.q, made.values.k, made.values.v, made.sizes);
    for (const attention of [flashAttention, attentionReference]) {
      const [bare, stats] = [attention(made.q, made.k, made.v, made.options), attention(made.q, made.k, made.v, { ...made.options, returnStats: true })];
      const { out, lse } = attention(made.q, made.k, made.v, { ...made.options, returnLse: true });
      for (const each of [bare, out, stats.out]) await expectClose(each, expected.out, { rtol: 1e-5, atol: 1e-5 });
      for (const each of [lse, stats.lse]) await expectClose(each, expected.lse, { rtol: 1e-5, atol: 1e-5 });
      await expectClose(stats.rowMax, expected.rowMax, { rtol: 1e-5, atol: 1e-5 });
      await expectClose(stats.entropy, expected.entropy, { rtol: 1e-5, atol: 1e-5 });
      dispose([bare, stats, out, lse] as never);
    }
    free(made);
  });

  it.each(CASES)('its gradients match finite differences, and padding has none: $title', async (each) => {
    const made = make(each);
    const { bias } = made.terms;
    const inputs: Record<string, Tensor> = { q: made.q, k: made.k, v: made.v, ...(bias && { bias }) };
    await checkOpGrad<string>({
      op: (p) => flashAttention(p.q as Tensor, p.k as Tensor, p.v as Tensor, { ...made.options, ...(p.bias && { bias: p.bias }) }),
      oracle64: (p) => attention64(p.q!, p.k!, p.v!, { ...made.sizes, ...(bias && { bias: { values: p.bias!, shape: bias.shape } }) }).out,
      inputs, directions: 2,
    });
    const { value, grads } = valueAndGrad((p: { k: Tensor; v: Tensor }) => sum(flashAttention(made.q, p.k, p.v, made.options)), { k: made.k, v: made.v });
    const { kvLen, numHeads, numKvHeads = numHeads, headDim, hides } = made.sizes;
    for (const grad of [grads.k, grads.v]) {
      const padding = (await grad.data()).filter((_, i) => {
        const row = Math.floor(i / (numKvHeads * headDim));
        return hides!(Math.floor(row / kvLen), 0, row % kvLen);
      });
      expect(padding.length).toBeGreaterThan(0);
      expect(padding.every((x) => x === 0)).toBe(true);
    }
    free(made, value, grads);
  });

  it('the gradient of lse passes by queries that see padding only', async () => {
    const made = make(CASES[2]!);
    await checkOpGrad<'q' | 'k'>({
      op: (p) => slice(flashAttention(p.q, p.k, made.v, { ...made.options, returnLse: true }).lse, [0, 0, 4], [2, 2, 3]),
      oracle64: (p) => attention64(p.q, p.k, made.values.v, made.sizes).lse.filter((_, i) => i % 7 >= 4), // finite in both sequences
      inputs: { q: made.q, k: made.k },
    });
    free(made);
  });

  it('padding of any values is the same as no keys there', async () => {
    const made = make({ title: '', lengths: [4, 4], sizes: { seqLen: 4 } });
    const cut = (x: Tensor) => slice(x, [0, 0, 0, 0], [2, 4, 2, 4]);
    const wild = concat([cut(made.v), tensor(randomArray(2 * 3 * 8, { std: 1e3 }), [2, 3, 2, 4])], 1);
    const [short, keys, values] = [cut(made.k), made.k, cut(made.v)];
    const dy = tensor(randomArray(made.q.size, { seed: 3 }), made.q.shape);
    const [padded, bare] = [vjp(() => flashAttention(made.q, keys, wild, made.options), [made.q], dy), vjp(() => flashAttention(made.q, short, values), [made.q], dy)];
    await expectClose(padded.value, bare.value, { atol: 1e-6 });
    await expectClose(padded.grads[0]!, bare.grads[0]!, { atol: 1e-5 });
    free(made, wild, short, values, dy, padded.value, padded.grads, bare.value, bare.grads);
  });

  it('a mask of int32 is the same as one of bool, also packed, and nothing is left behind', async () => {
    const qkv = tensor(randomArray(2 * 5 * 12, { seed: 1 }), [2, 5, 12]);
    const [ints, bools] = [tensor([1, 1, 1, 0, 0, 2, -1, 1, 1, 0], [2, 5], 'int32'), tensor([1, 1, 1, 0, 0, 1, 1, 1, 1, 0], [2, 5], 'bool')];
    const parts = [0, 4, 8].map((at) => { const part = slice(qkv, [0, 0, at], [2, 5, 4]); const shaped = reshape(part, [2, 5, 2, 2]); part.dispose(); return shaped; }) as [Tensor, Tensor, Tensor];
    const [a, b] = [flashAttention.packed(qkv, { numHeads: 2, keyPaddingMask: ints }), flashAttention(...parts, { keyPaddingMask: bools })];
    await expectClose(a, b, { atol: 1e-6 });
    await expectNoLeak(() => flashAttention(...parts, { keyPaddingMask: ints }));
    await expectNoLeak(() => flashAttention(...parts, { keyPaddingMask: ints, returnStats: true }));
    await expectNoLeak(() => valueAndGrad((p: { q: Tensor }) => sum(flashAttention(p.q, parts[1], parts[2], { keyPaddingMask: ints })), { q: parts[0] }));
    dispose([qkv, ints, bools, parts, a, b]);
  });
});

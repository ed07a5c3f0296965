import { attentionReference, flashAttention } from '@evenkeel/flash-attention';
import { hasKernel, valueAndGrad, type AttentionFn } from '@evenkeel/core-tensor';
import {
  attention64, expectClose, expectNoLeak, expectNoWorseThan, forEachBackend, randomArray, randomTensor, type AttentionSizes64,
} from '@evenkeel/testing';
import { add, dispose, memory, slice, sum, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { makeCase, type AttentionCase } from './cases.ts';

const base: AttentionSizes64 = { batchSize: 2, seqLen: 5, kvLen: 5, numHeads: 2, headDim: 8 };

const CASES: (Partial<AttentionSizes64> & { title: string })[] = [
  { title: 'one token', seqLen: 1, kvLen: 1 },
  { title: 'three tokens', seqLen: 3, kvLen: 3 },
  { title: '65 tokens, causal', seqLen: 65, kvLen: 65, causal: true },
  { title: '130 tokens, causal, one head', batchSize: 1, seqLen: 130, kvLen: 130, numHeads: 1, headDim: 16, causal: true },
  { title: '130 tokens, full', batchSize: 1, seqLen: 130, kvLen: 130, numHeads: 1, headDim: 16 },
  { title: 'heads of width 1', headDim: 1, causal: true },
  { title: 'heads of width 5', headDim: 5 },
  { title: 'heads of width 32', seqLen: 17, kvLen: 17, headDim: 32, causal: true },
  { title: 'heads of width 64', seqLen: 17, kvLen: 17, headDim: 64, causal: true },
  { title: 'heads of width 80', seqLen: 17, kvLen: 17, headDim: 80 },
  { title: 'one new token after 65', seqLen: 1, kvLen: 66, causal: true },
  { title: '3 new tokens after 20', seqLen: 3, kvLen: 23, causal: true },
  { title: 'more keys than queries, full', seqLen: 3, kvLen: 67 },
  { title: 'more queries than keys, full', seqLen: 20, kvLen: 3 },
  { title: 'more queries than keys, causal', seqLen: 9, kvLen: 4, causal: true },
  { title: 'two query heads per key head', numHeads: 4, numKvHeads: 2, causal: true },
  { title: 'one key head for three query heads', numHeads: 3, numKvHeads: 1, seqLen: 33, kvLen: 33 },
  { title: 'a window of 2 tokens to the left, causal', seqLen: 65, kvLen: 65, causal: true, window: [2, 0] },
  { title: 'a window to both sides', seqLen: 20, kvLen: 20, window: [3, 1] },
  { title: 'a window to the right only', seqLen: 9, kvLen: 12, window: [-1, 2] },
  { title: 'a window narrower than causal lets through', seqLen: 9, kvLen: 9, causal: true, window: [4, 3] },
  { title: 'a window outside of which some queries stand', seqLen: 12, kvLen: 5, window: [1, 1] },
  { title: 'a scale of 0.3', scale: 0.3, causal: true },
];

const sizesOf = ({ title: _, ...sizes }: (typeof CASES)[number]): AttentionSizes64 => ({ ...base, ...sizes });

/** The case's tensors with the function under test applied, and the oracle's answer. */
function both(made: AttentionCase): { out: Tensor; lse: Tensor } {
  return flashAttention(made.q, made.k, made.v, { ...made.options, returnLse: true });
}

forEachBackend((backend) => {
  it.each(CASES)('flashAttention(q, k, v) agrees with the float64 oracle: $title', async (each) => {
    const made = makeCase(sizesOf(each));
    const expected = attention64(made.values.q, made.values.k, made.values.v, made.sizes);
    const [{ out, lse }, alone] = [both(made), flashAttention(made.q, made.k, made.v, made.options)];
    expect([out.shape, lse.shape]).toEqual([made.q.shape, [made.sizes.batchSize, made.sizes.numHeads, made.sizes.seqLen]]);
    await expectClose(out, expected.out, { rtol: 1e-5, atol: 1e-5 });
    await expectClose(lse, expected.lse, { rtol: 1e-5, atol: 1e-5 });
    await expectClose(alone, out, { rtol: 0, atol: 0 });
    dispose([out, lse, alone, made.q, made.k, made.v]);
  });

  it('flashAttention(q, k, v) agrees with attentionReference and has at most twice its float32 error', async () => {
    const made = makeCase({ ...base, batchSize: 1, seqLen: 130, kvLen: 130, headDim: 32, causal: true });
    const [fused, composed] = [both(made), attentionReference(made.q, made.k, made.v, { ...made.options, returnLse: true })];
    const expected = attention64(made.values.q, made.values.k, made.values.v, made.sizes);
    await expectClose(fused.out, composed.out, { rtol: 1e-5, atol: 1e-5 });
    // One unit in the last place of values up to 4.
    await expectNoWorseThan(fused.out, composed.out, expected.out, { floor: 5e-7 });
    await expectNoWorseThan(fused.lse, composed.lse, expected.lse, { floor: 5e-7 });
    dispose([fused, composed, made.q, made.k, made.v]);
  });

  it('flashAttention(q, k + u, v) leaves out unchanged and shifts lse where q·u is constant', async () => {
    const { q, k, v, options, values, sizes } = makeCase({ ...base, seqLen: 33, kvLen: 33, causal: true });
    const shifted = { q: values.q.slice(), k: values.k.slice() };
    for (let i = sizes.headDim - 1; i < shifted.q.length; i += sizes.headDim) shifted.q[i] = 1;
    for (let i = sizes.headDim - 1; i < shifted.k.length; i += sizes.headDim) shifted.k[i] = shifted.k[i]! + 3;
    const [q1, k1] = [tensor(shifted.q, q.shape), tensor(shifted.k, k.shape)];
    const [before, after] = [flashAttention(q1, k, v, { ...options, returnLse: true }), flashAttention(q1, k1, v, { ...options, returnLse: true })];
    await expectClose(after.out, before.out, { atol: 1e-5 });
    const constant = 3 / Math.sqrt(sizes.headDim);
    await expectClose(after.lse, (await before.lse.data()).map((value) => value + constant), { atol: 1e-5 });
    dispose([q, k, v, q1, k1, before, after]);
  });

  it('flashAttention(q, k, v) stays finite and right for scores of magnitude 1e4', async () => {
    const sizes = { ...base, seqLen: 33, kvLen: 33, causal: true };
    const made = makeCase(sizes, 60);
    const { out, lse } = both(made);
    const expected = attention64(made.values.q, made.values.k, made.values.v, made.sizes);
    expect(Math.max(...expected.lse.map(Math.abs))).toBeGreaterThan(1e4);
    // The scores carry a rounding error of about 1e4 · 2^−22 in the exponent.
    await expectClose(out, expected.out, { rtol: 2e-2, atol: 0.3 });
    await expectClose(lse, expected.lse, { rtol: 1e-5, atol: 1e-2 });
    dispose([out, lse, made.q, made.k, made.v]);
  });

  it('flashAttention(q, k, v) gives out 0, lse +Infinity and no gradient to queries that see no key', async () => {
    const { q, k, v, options } = makeCase({ ...base, batchSize: 1, seqLen: 5, kvLen: 3, numHeads: 1, causal: true });
    const { out, lse } = flashAttention(q, k, v, { ...options, returnLse: true });
    const blind = slice(out, [0, 0, 0, 0], [1, 2, 1, 8]);
    await expectClose(blind, new Float32Array(16), { rtol: 0, atol: 0 });
    expect(Array.from(await lse.data()).map(Number.isFinite)).toEqual([false, false, true, true, true]);
    expect((await lse.data())[0]).toBe(Infinity);
    const { value, grads } = valueAndGrad((p: { q: Tensor; k: Tensor; v: Tensor }) => sum(flashAttention(p.q, p.k, p.v, options)), { q, k, v });
    for (const gradient of Object.values(grads)) expect((await gradient.data()).every(Number.isFinite)).toBe(true);
    await expectClose((await grads.q.data()).slice(0, 16), new Float32Array(16), { rtol: 0, atol: 0 });
    dispose([q, k, v, out, lse, blind, value, grads]);
  });

  it.each([
    [-1, Number.MAX_SAFE_INTEGER], [Number.MAX_SAFE_INTEGER, -1], [2 ** 31 - 1, 2 ** 31 - 1], [2 ** 32, 1e300],
  ])('flashAttention(q, k, v, { window: [%d, %d] }) hides nothing', async (...window) => {
    for (const [seqLen, kvLen] of [[5, 5], [7, 3], [3, 7]] as const) {
      const { q, k, v } = makeCase({ ...base, seqLen, kvLen });
      const [bare, wide] = [flashAttention(q, k, v, { returnLse: true }), flashAttention(q, k, v, { window, returnLse: true })];
      await expectClose(wide.out, bare.out, { rtol: 1e-6, atol: 1e-6 });
      await expectClose(wide.lse, bare.lse, { rtol: 1e-6, atol: 1e-6 });
      dispose([q, k, v, bare, wide]);
    }
  });

  it('flashAttention(q, k, v) adds one tensor per result and frees the rest, also on error and in gradients', async () => {
    const { q, k, v } = makeCase({ ...base, seqLen: 3, kvLen: 3 });
    const wrong = randomTensor([2, 3, 2, 5]);
    await expectNoLeak(() => flashAttention(q, k, v, { causal: true }));
    await expectNoLeak(() => flashAttention(q, k, v, { returnLse: true }));
    await expectNoLeak(() => flashAttention(q, k, v, { dropout: 0.5, train: true, seed: 1 }));
    await expectNoLeak(() => flashAttention(q, wrong, v), { throws: 'flashAttention: k must have shape [2, …, …, 8], got [2, 3, 2, 5]' });
    await expectNoLeak(() => valueAndGrad((p: { q: Tensor; k: Tensor; v: Tensor }) => sum(flashAttention(p.q, p.k, p.v)), { q, k, v }));
    await expectNoLeak(() => valueAndGrad((p: { q: Tensor; k: Tensor; v: Tensor }) => {
      const { out, lse } = flashAttention(p.q, p.k, p.v, { returnLse: true });
      return add(sum(out), sum(lse));
    }, { q, k, v }));
    dispose([q, k, v, wrong]);
  });

  if (backend === 'evenkeel-wasm') {
    /** Bytes alive between the forward and the backward pass, as tfjs counts them: each saved reference in full. */
    const heldBytes = (attention: AttentionFn, seqLen: number): number => tidy(() => {
      const { q, k, v } = makeCase({ batchSize: 1, seqLen, kvLen: seqLen, numHeads: 1, headDim: 8 });
      let held = 0;
      valueAndGrad((p: { q: Tensor; k: Tensor; v: Tensor }) => {
        const before = memory().numBytes;
        const out = attention(p.q, p.k, p.v, { causal: true });
        held = memory().numBytes - before;
        return sum(out);
      }, { q, k, v });
      return held;
    });

    it('flashAttention(q, k, v) keeps O(t) for the backward pass, where attentionReference keeps O(t²)', () => {
      expect(hasKernel('evenkeel/attention') && hasKernel('evenkeel/attentionGrad')).toBe(true);
      expect(heldBytes(flashAttention, 128)).toBe(4 * (5 * 128 * 8 + 128)); // the result, and what is saved: q, k, v, out and lse
      expect(heldBytes(flashAttention, 256) / heldBytes(flashAttention, 128)).toBe(2);
      expect(heldBytes(attentionReference, 256) / heldBytes(attentionReference, 128)).toBeGreaterThan(3.5);
    });
  }
});

const OPTION_NAMES = 'scale, causal, window, alibiSlopes, dropout, train, seed, observe, returnLse, bias, softcap, blockMask, blockSize, keyPaddingMask, returnStats';

describe('flashAttention', () => {
  const shapes = (q: number[], k: number[], v = k) => [q, k, v].map((shape) => tensor(randomArray(shape.reduce((a, b) => a * b, 1)), shape)) as [Tensor, Tensor, Tensor];
  const wrongShapes: [title: string, tensors: () => [Tensor, Tensor, Tensor], message: string][] = [
    ['a q of three axes', () => shapes([2, 3, 8], [2, 3, 2, 8]), 'flashAttention: q must have rank 4, got shape [2, 3, 8]'],
    ['k of another batch', () => shapes([2, 3, 2, 8], [1, 3, 2, 8]), 'flashAttention: k must have shape [2, …, …, 8], got [1, 3, 2, 8]'],
    ['k of another width', () => shapes([2, 3, 2, 8], [2, 3, 2, 4]), 'flashAttention: k must have shape [2, …, …, 8], got [2, 3, 2, 4]'],
    ['v unlike k', () => shapes([2, 3, 2, 8], [2, 3, 2, 8], [2, 4, 2, 8]), 'flashAttention: v must have shape [2, 3, 2, 8], got [2, 4, 2, 8]'],
    ['no key at all', () => shapes([2, 3, 2, 8], [2, 0, 2, 8]), 'flashAttention: k must have at least one key, got shape [2, 0, 2, 8]'],
    ['3 query heads for 2 key heads', () => shapes([2, 3, 3, 8], [2, 3, 2, 8]), 'flashAttention: k must have a number of heads that divides the 3 of q, got 2'],
  ];
  it.each(wrongShapes)('flashAttention(q, k, v) rejects %s', (_, tensors, message) => {
    const [q, k, v] = tensors();
    expect(() => flashAttention(q, k, v)).toThrow(message);
    expect(() => attentionReference(q, k, v)).toThrow(message.replace('flashAttention', 'attentionReference'));
    dispose([q, k, v]);
  });

  it.each([
    [{ scale: 0 }, 'flashAttention: scale must be a positive number, got 0'],
    [{ window: [1.5, 0] as const }, 'flashAttention: window[0] must be an integer ≥ -1, got 1.5'],
    [{ window: [1, -2] as const }, 'flashAttention: window[1] must be an integer ≥ -1, got -2'],
    [{ window: 3 as never }, 'flashAttention: window must be [left, right], got 3'],
    [{ dropout: 1 }, 'flashAttention: dropout must be in [0, 1), got 1'],
    [{ causal: 'yes' as never }, 'flashAttention: causal must be true or false, got "yes"'],
    [{ causal: 1 as never }, 'flashAttention: causal must be true or false, got 1'],
    [{ train: null as never }, 'flashAttention: train must be true or false, got null'],
    [{ returnLse: 1 as never }, 'flashAttention: returnLse must be true or false, got 1'],
    [{ returnStats: 'false' as never }, 'flashAttention: returnStats must be true or false, got "false"'],
    [{ casual: true } as never, `flashAttention: options must be among ${OPTION_NAMES}, got casual`],
    [{ isCausal: false } as never, `flashAttention: options must be among ${OPTION_NAMES}, got isCausal`],
    [{ dropout: 0.1, train: true }, 'flashAttention: seed must be given when dropout acts, got undefined'],
  ])('flashAttention(q, k, v, %j) says what is wrong', (options, message) => {
    const [q, k, v] = shapes([1, 2, 1, 4], [1, 2, 1, 4]);
    expect(() => flashAttention(q, k, v, options)).toThrow(message);
    dispose([q, k, v]);
  });

  it('flashAttention(q, k, v, options) takes all that a layer is told, and names without values', async () => {
    const [q, k, v] = shapes([1, 5, 1, 4], [1, 5, 1, 4]);
    const told = { state: {}, cuSeqlens: undefined, observe: undefined, keyPaddingMask: undefined, train: undefined, causal: undefined, seed: 3, returnLse: undefined, mine: undefined };
    const [bare, full] = [flashAttention(q, k, v), flashAttention(q, k, v, told)];
    await expectClose(full, bare, { rtol: 0, atol: 0 });
    dispose([q, k, v, bare, full]);
  });

  it('flashAttention(q) rejects integers by name', () => {
    const [q, k, v] = shapes([1, 2, 1, 4], [1, 2, 1, 4]);
    const integers = tensor(new Int32Array(8), [1, 2, 1, 4], 'int32');
    expect(() => flashAttention(integers, k, v)).toThrow('flashAttention: q must have dtype float32, got int32');
    dispose([q, k, v, integers]);
  });

  it('flashAttention(q, k, v, { window: [Infinity, Infinity] }) is the same as no window', async () => {
    const [q, k, v] = shapes([1, 5, 1, 4], [1, 5, 1, 4]);
    const [bare, unlimited] = [flashAttention(q, k, v), flashAttention(q, k, v, { window: [Infinity, Infinity] })];
    await expectClose(unlimited, bare, { rtol: 0, atol: 0 });
    dispose([q, k, v, bare, unlimited]);
  });
});

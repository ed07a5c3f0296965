import { valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { flashAttention, type FlashAttentionOptions } from '@evenkeel/flash-attention';
import { attention64, checkGrad, expectClose, forEachBackend, randomArray, randomTensor, type AttentionSizes64 } from '@evenkeel/testing';
import { add, dispose, gather, mul, ones, reshape, square, sum, tensor, tidy, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { makeCase } from './cases.ts';

const base: AttentionSizes64 = { batchSize: 2, seqLen: 9, kvLen: 11, numHeads: 2, headDim: 4 };

/** Options beyond the plain ones, made anew for each use since they hold tensors. */
const VARIANTS: [string, () => FlashAttentionOptions][] = [
  ['plain', () => ({})],
  ['causal', () => ({ causal: true })],
  ['softcap', () => ({ softcap: 1.5 })],
  ['blockMask', () => ({ blockMask: tensor([1, 0, 1, 1, 1, 0], [2, 3], 'int32'), blockSize: [5, 4] })],
  ['keyPaddingMask', () => ({ keyPaddingMask: tensor(Array.from({ length: 22 }, (_, i) => i % 11 < 6), [2, 11], 'bool') })],
];

forEachBackend(() => {
  it.each([
    [2, 5, ['xxxx.', 'xxxxx']],
    [5, 2, ['..', '..', '..', 'x.', 'xx']],
    [3, 3, ['x..', 'xx.', 'xxx']],
  ])('%d causal queries see of %d keys what the table says, whatever asks', async (seqLen, kvLen, rows) => {
    // With q = 0 all visible keys weigh the same, and with unit vectors for values the result shows the weights.
    const expected = rows.flatMap((row) => [...row].map((key) => (key === 'x' ? 1 / [...row].filter((each) => each === 'x').length : 0)));
    const [q, k] = [zeros([1, seqLen, 1, kvLen]), randomTensor([1, kvLen, 1, kvLen])];
    const v = tensor(Float32Array.from({ length: kvLen * kvLen }, (_, i) => (i % (kvLen + 1) === 0 ? 1 : 0)), [1, kvLen, 1, kvLen]);
    for (const extra of [{}, { softcap: 3 }, { window: [kvLen, kvLen] as const }]) {
      const y = flashAttention(q, k, v, { causal: true, ...extra });
      await expectClose(y, Float64Array.from(expected), { rtol: 1e-6 });
      dispose(y);
    }
    dispose([q, k, v]);
  });

  it.each(VARIANTS)('the weights of a query add up to 1: %s', async (_, optionsOf) => {
    const { q, k } = makeCase(base);
    const [v, options] = [ones(k.shape), optionsOf()];
    const y = flashAttention(q, k, v, options as FlashAttentionOptions & { returnLse?: false });
    await expectClose(y, new Float32Array(y.size).fill(1), { rtol: 1e-6, atol: 0 });
    dispose([q, k, v, y, options] as never);
  });

  it.each(VARIANTS)('a constant added to all scores shifts lse and rowMax by it, and nothing else: %s', async (_, optionsOf) => {
    const { q, k, v } = makeCase(base);
    const [options, bias] = [optionsOf(), tensor([2.5], [1, 1, 1, 1])];
    const [before, after] = [flashAttention(q, k, v, { ...options, returnStats: true }), flashAttention(q, k, v, { ...options, bias, returnStats: true })];
    const shifted = async (x: Tensor) => (await x.data()).map((value) => value + 2.5);
    await expectClose(after.out, before.out, { atol: 1e-6 });
    await expectClose(after.entropy, before.entropy, { atol: 1e-5 });
    await expectClose(after.lse, await shifted(before.lse), { rtol: 1e-6 });
    await expectClose(after.rowMax, await shifted(before.rowMax), { rtol: 1e-6 });
    dispose([q, k, v, options, bias, before, after] as never);
  });

  it.each(VARIANTS)('scores of 1e4 give finite results and gradients: %s', async (_, optionsOf) => {
    const { q, k, v } = makeCase(base, 90);
    const options = optionsOf();
    const { out: y, lse, rowMax, entropy } = flashAttention(q, k, v, { ...options, returnStats: true });
    const { value, grads } = vjp(() => flashAttention(q, k, v, options as FlashAttentionOptions & { returnLse?: false }), [q, k, v], y);
    for (const x of [y, lse, rowMax, entropy, ...grads]) expect((await x.data()).every(Number.isFinite)).toBe(true);
    expect(Math.max(...(await k.data())) * Math.max(...(await q.data()))).toBeGreaterThan(1e4);
    dispose([q, k, v, options, y, lse, rowMax, entropy, value, grads] as never);
  });

  it.each(VARIANTS)('key heads that are repeated by hand give the same, and their gradients add up to those of the shared heads: %s', async (_, optionsOf) => {
    const { q, k, v } = makeCase({ ...base, numHeads: 6, numKvHeads: 2 });
    const [order, options] = [tensor([0, 0, 0, 1, 1, 1], [6], 'int32'), optionsOf() as FlashAttentionOptions & { returnLse?: false }];
    const [k6, v6] = [gather(k, order, 2), gather(v, order, 2)];
    const dy = tensor(randomArray(q.size, { seed: 8 }), q.shape);
    const shared = vjp(() => flashAttention(q, k, v, options), [q, k, v], dy);
    const repeated = vjp(() => flashAttention(q, k6, v6, options), [q, k6, v6], dy);
    await expectClose(shared.value, repeated.value, { atol: 1e-6 });
    await expectClose(shared.grads[0]!, repeated.grads[0]!, { atol: 1e-5 });
    for (const i of [1, 2]) {
      const total = tidy(() => sum(reshape(repeated.grads[i]!, [2, 11, 2, 3, 4]), 3));
      await expectClose(shared.grads[i]!, total, { rtol: 1e-4, atol: 1e-5 });
      dispose(total);
    }
    dispose([q, k, v, order, options, k6, v6, dy, shared.value, shared.grads, repeated.value, repeated.grads] as never);
  });

  it('a window of [s, s] is the same as none, also with softcap', async () => {
    const { q, k, v } = makeCase(base);
    for (const options of [{}, { softcap: 2 }]) {
      const [bare, wide] = [flashAttention(q, k, v, { ...options, returnLse: true }), flashAttention(q, k, v, { ...options, window: [11, 11], returnLse: true })];
      await expectClose(wide.out, bare.out, { rtol: 1e-6, atol: 1e-6 });
      await expectClose(wide.lse, bare.lse, { rtol: 1e-6, atol: 1e-6 });
      dispose([bare, wide] as never);
    }
    dispose([q, k, v]);
  });

  it('⟨dO, O⟩ of a query is ⟨P, dP⟩: the gradient of v, weighted by v, adds up to it, with dropout and cap too', async () => {
    // Σ_j v_j · dv_j = Σ_i P_ij (dO_i · v_j) = Σ_i dO_i · O_i
    const { q, k, v } = makeCase(base);
    const dy = tensor(randomArray(q.size, { seed: 8 }), q.shape);
    for (const options of [{ causal: true }, { softcap: 1 }, { softcap: 1, dropout: 0.4, train: true, seed: 2 }]) {
      const { value, grads } = vjp(() => flashAttention(q, k, v, options), [v], dy);
      const [left, right] = tidy(() => [sum(mul(v, grads[0]!), [1, 3]), sum(mul(dy, value), [1, 3])] as never) as [Tensor, Tensor]; // b h
      await expectClose(left, right, { rtol: 1e-5, atol: 1e-5 });
      dispose([value, grads, left, right] as never);
    }
    dispose([q, k, v, dy]);
  });

  it.each([{ softcap: 1.5, causal: true }, { blockMask: [1, 0, 1, 1], softcap: 2 }])('second derivatives match finite differences: %j', async ({ blockMask, ...extra }) => {
    const made = makeCase({ ...base, batchSize: 1, seqLen: 4, kvLen: 4, ...extra });
    const mask = blockMask && tensor(blockMask, [2, 2], 'int32');
    const hides = mask && ((_b: number, t: number, s: number) => t < 2 && s >= 2);
    const options = { ...extra, ...(mask && { blockMask: mask, blockSize: [2, 2] as const }) };
    const inputs: Record<'q' | 'k', Tensor> = { q: made.q, k: made.k };
    const direction = { q: randomArray(made.q.size, { seed: 2 }), k: randomArray(made.k.size, { seed: 3 }) };
    const loss64 = (p: Record<'q' | 'k', Float64Array>) => attention64(p.q, p.k, made.values.v, { ...made.sizes, ...(hides && { hides }) }).out.reduce((total, y) => total + y * y, 0);
    const moved = (p: Record<'q' | 'k', Float64Array>, step: number) => loss64({ q: p.q.map((x, i) => x + step * direction.q[i]!), k: p.k.map((x, i) => x + step * direction.k[i]!) });
    const { value, grads } = valueAndGrad((outer: Record<'q' | 'k', Tensor>) => {
      const first = valueAndGrad((p: Record<'q' | 'k', Tensor>) => sum(square(flashAttention(p.q, p.k, made.v, options))), outer).grads;
      return add(sum(mul(first.q, tensor(direction.q, made.q.shape))), sum(mul(first.k, tensor(direction.k, made.k.shape))));
    }, inputs);
    await checkGrad<'q' | 'k'>({ loss64: (p) => (moved(p, 1e-3) - moved(p, -1e-3)) / 2e-3, inputs, gradients: grads, step: 1e-3, rtol: 1e-3 });
    dispose([made.q, made.k, made.v, mask ?? [], value, grads] as never);
  });
});

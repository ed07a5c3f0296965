import { vjp } from '@evenkeel/core-tensor';
import { flashAttention, mergeAttention, type AttentionWithLse } from '@evenkeel/flash-attention';
import { attention64, checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomArray, type AttentionSizes64 } from '@evenkeel/testing';
import { concat, dispose, fill, reshape, slice, tensor, tidy, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { makeCase } from './cases.ts';

const base: AttentionSizes64 = { batchSize: 2, seqLen: 5, kvLen: 9, numHeads: 4, numKvHeads: 2, headDim: 4 };

/** The keys (or values) from one position to another. */
const cut = (x: Tensor, from: number, to: number): Tensor => slice(x, [0, from, 0, 0], [x.shape[0]!, to - from, ...x.shape.slice(2)]);

/** Attention over the parts of the keys that the cuts make; the last part alone is causal. */
function split(q: Tensor, k: Tensor, v: Tensor, cuts: readonly number[], causal = false): AttentionWithLse[] {
  const ends = [...cuts, k.shape[1]!];
  return ends.map((end, p) => {
    const from = p === 0 ? 0 : ends[p - 1]!;
    return flashAttention(q, cut(k, from, end), cut(v, from, end), { causal: causal && p === ends.length - 1, returnLse: true });
  });
}

const flat = ({ out, lse }: AttentionWithLse): Tensor => concat([reshape(out, [-1]), reshape(lse, [-1])]);

forEachBackend(() => {
  it.each([[[4]], [[1]], [[8]], [[2, 3, 7]]])('mergeAttention of the keys cut at %j equals the attention over all of them', async (cuts) => {
    for (const std of [1, 60]) { // scores up to 1e4, so that one part outweighs the others by far
      const { q, k, v } = makeCase(base, std);
      const merged = tidy(() => mergeAttention(...split(q, k, v, cuts)));
      const joint = flashAttention(q, k, v, { returnLse: true });
      await expectClose(merged.out, joint.out, std === 1 ? { rtol: 1e-6, atol: 1e-6 } : { rtol: 1e-5, atol: 2e-3 });
      await expectClose(merged.lse, joint.lse, { rtol: 1e-6, atol: 1e-6 });
      dispose([q, k, v, merged, joint] as never);
    }
  });

  it('mergeAttention of a full part and a causal one equals causal attention after a cache, for 65 queries and 130 keys', async () => {
    const { q, k, v } = makeCase({ ...base, batchSize: 1, seqLen: 65, kvLen: 130 });
    const merged = tidy(() => mergeAttention(...split(q, k, v, [40, 65], true)));
    const joint = flashAttention(q, k, v, { causal: true, returnLse: true });
    await expectClose(merged.out, joint.out, { rtol: 1e-6, atol: 1e-6 });
    await expectClose(merged.lse, joint.lse, { rtol: 1e-6, atol: 1e-6 });
    dispose([q, k, v, merged, joint] as never);
  });

  it('the gradients of mergeAttention match finite differences in q, k and v, those of lse too', async () => {
    const { q, k, v, sizes } = makeCase(base);
    await checkOpGrad<'q' | 'k' | 'v'>({
      op: (p) => flat(mergeAttention(...split(p.q, p.k, p.v, [3, 7]))),
      oracle64: (p) => { const { out, lse } = attention64(p.q, p.k, p.v, sizes); return Float64Array.from([...out, ...lse]); },
      inputs: { q, k, v },
    });
    dispose([q, k, v]);
  });

  it('queries that see nothing in a part take the other one as it is, in the gradients too', async () => {
    // 5 queries over 3 keys, causal: the first two see nothing of this part, all see the other.
    const { q, k, v } = makeCase({ ...base, kvLen: 8 });
    const parts = (p: Record<string, Tensor>): AttentionWithLse[] => [
      flashAttention(p.q as Tensor, cut(p.k as Tensor, 0, 5), cut(p.v as Tensor, 0, 5), { returnLse: true }),
      flashAttention(p.q as Tensor, cut(p.k as Tensor, 5, 8), cut(p.v as Tensor, 5, 8), { causal: true, returnLse: true }),
    ];
    const merged = tidy(() => mergeAttention(...parts({ q, k, v })));
    const [alone, other] = tidy(() => parts({ q, k, v }) as never) as [AttentionWithLse, AttentionWithLse];
    const blind = async (x: Tensor, rowOf: (i: number) => number) => (await x.data()).filter((_, i) => rowOf(i) % 5 < 2);
    for (const [name, rowOf, tolerance] of [['out', (i: number) => Math.floor(i / 16), { rtol: 0, atol: 0 }], ['lse', (i: number) => i, { rtol: 1e-6 }]] as const) {
      await expectClose(await blind(merged[name], rowOf), await blind(alone[name], rowOf), tolerance);
    }
    await checkOpGrad<string>({
      op: (p) => flat(mergeAttention(...parts(p))),
      oracle64: (p) => {
        const { out, lse } = attention64(p.q!, p.k!, p.v!, { ...base, kvLen: 8, hides: (_b, t, s) => s >= 5 && s - 5 > t - 2 });
        return Float64Array.from([...out, ...lse]);
      },
      inputs: { q, k, v },
    });
    dispose([q, k, v, merged, alone, other] as never);
  });

  it('queries that see nothing in every part keep out 0 and lse +Infinity, without NaN in the gradients', async () => {
    const { q, k, v } = makeCase({ ...base, kvLen: 3 });
    const dy = tensor(randomArray(q.size), q.shape);
    const merge = (): AttentionWithLse => mergeAttention(flashAttention(q, k, v, { causal: true, returnLse: true }), flashAttention(q, v, k, { causal: true, returnLse: true }));
    const { value, grads } = vjp(() => merge().out, [q, k, v], dy);
    const { lse } = tidy(merge);
    const values = await value.data();
    expect(values.filter((_, i) => Math.floor(i / 16) % 5 < 2).every((x) => x === 0)).toBe(true);
    expect(values.filter((_, i) => Math.floor(i / 16) % 5 >= 2).every((x) => x !== 0)).toBe(true);
    expect(Array.from(await lse.data()).map((x) => x === Infinity)).toEqual(Array.from({ length: 40 }, (_, i) => i % 5 < 2));
    for (const grad of grads) expect((await grad.data()).every(Number.isFinite)).toBe(true);
    dispose([q, k, v, dy, value, grads, lse] as never);
  });

  it('mergeAttention(a) gives a, the order of the parts does not matter, and NaN stays NaN', async () => {
    const { q, k, v } = makeCase(base);
    const [a, b] = tidy(() => split(q, k, v, [4]) as never) as [AttentionWithLse, AttentionWithLse];
    const [one, ab, ba] = [mergeAttention(a), mergeAttention(a, b), mergeAttention(b, a)];
    await expectClose(one.out, a.out, { rtol: 1e-6, atol: 1e-6 });
    await expectClose(one.lse, a.lse, { rtol: 1e-6, atol: 1e-6 });
    await expectClose(ab.out, ba.out, { rtol: 1e-6, atol: 1e-6 });
    const broken = { out: a.out, lse: fill(a.lse.shape, NaN) };
    const spoilt = mergeAttention(broken, b);
    expect((await spoilt.out.data()).every(Number.isNaN) && (await spoilt.lse.data()).every(Number.isNaN)).toBe(true);
    await expectNoLeak(() => mergeAttention(a, b));
    dispose([q, k, v, a, b, one, ab, ba, broken.lse, spoilt] as never);
  });

  it('parts whose lse is −Infinity, by another convention, add nothing either', async () => {
    const { q, k, v } = makeCase(base);
    const a = flashAttention(q, k, v, { returnLse: true });
    const nothing = { out: zeros(a.out.shape), lse: fill(a.lse.shape, -Infinity) };
    const [merged, none] = [mergeAttention(nothing, a), mergeAttention(nothing, nothing)];
    await expectClose(merged.out, a.out, { rtol: 1e-6, atol: 1e-6 });
    await expectClose(merged.lse, a.lse, { rtol: 1e-6, atol: 1e-6 });
    expect((await none.lse.data()).every((x) => x === Infinity) && (await none.out.data()).every((x) => x === 0)).toBe(true);
    dispose([q, k, v, a, nothing, merged, none] as never);
  });
});

describe('mergeAttention', () => {
  const part = (out: number[], lse: number[]): AttentionWithLse => ({ out: zeros(out as [number]), lse: zeros(lse as [number]) });

  it.each([
    [() => [], 'mergeAttention: parts must have at least one { out, lse }, got none'],
    [() => [undefined], 'mergeAttention: parts[0] must be { out, lse }, as flashAttention(…, { returnLse: true }) gives, got undefined'],
    [() => [null], 'mergeAttention: parts[0] must be { out, lse }, as flashAttention(…, { returnLse: true }) gives, got null'],
    [() => [zeros([1, 2, 3, 4])], 'mergeAttention: parts[0] must be { out, lse }, as flashAttention(…, { returnLse: true }) gives, got a tensor'],
    [() => [[part([1, 2, 3, 4], [1, 3, 2])]], 'mergeAttention: parts[0] must be { out, lse }, as flashAttention(…, { returnLse: true }) gives, got an array'],
    [() => [part([1, 2, 3, 4], [1, 3, 2]), zeros([1, 2, 3, 4])], 'mergeAttention: parts[1] must be { out, lse }, as flashAttention(…, { returnLse: true }) gives, got a tensor'],
    [() => [{}], 'mergeAttention: parts[0].out must be a tensor, got undefined'],
    [() => [{ out: zeros([1, 2, 3, 4]) }], 'mergeAttention: parts[0].lse must be a tensor, got undefined'],
    [() => [part([1, 2, 3], [1, 3, 2])], 'mergeAttention: parts[0].out must have rank 4, got shape [1, 2, 3]'],
    [() => [part([1, 2, 3, 4], [1, 2, 3])], 'mergeAttention: parts[0].lse must have shape [1, 3, 2], got [1, 2, 3]'],
    [() => [part([1, 2, 3, 4], [1, 3, 2]), part([1, 2, 3, 5], [1, 3, 2])], 'mergeAttention: parts[1].out must have shape [1, 2, 3, 4], got [1, 2, 3, 5]'],
  ] as unknown as [() => AttentionWithLse[], string][])('mergeAttention(…) says what is wrong: %#', async (make, message) => {
    const parts = make();
    await expectNoLeak(() => mergeAttention(...parts), { throws: message });
    dispose(parts as never);
  });
});

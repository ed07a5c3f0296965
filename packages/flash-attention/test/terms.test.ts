import { valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { attentionReference, flashAttention } from '@evenkeel/flash-attention';
import {
  attention64, checkOpGrad, expectClose, expectNoLeak, expectNoWorseThan, forEachBackend, randomArray, type AttentionSizes64,
} from '@evenkeel/testing';
import { dispose, engine, mul, sum, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { makeCase, withTerms, type Terms } from './cases.ts';

type Case = Terms & { title: string; sizes?: Partial<AttentionSizes64> };

const [all, none] = [true, false];

/** Every kind of term alone, and all of them with every kind of mask and grouped heads. */
const CASES: Case[] = [
  { title: 'ALiBi', slopes: 'h' },
  { title: 'ALiBi with slopes per sequence, causal', slopes: 'bh', sizes: { causal: true } },
  { title: 'ALiBi after a cache', slopes: 'h', sizes: { seqLen: 3, kvLen: 67, causal: true } },
  { title: 'ALiBi, more queries than keys', slopes: 'h', sizes: { seqLen: 67, kvLen: 3 } },
  { title: 'a bias of every score', bias: [all, all, all, all] },
  { title: 'a bias for all sequences, causal', bias: [none, all, all, all], sizes: { causal: true } },
  { title: 'a bias for all heads and queries', bias: [all, none, none, all] },
  { title: 'a bias of the keys', bias: [none, none, none, all], sizes: { causal: true } },
  { title: 'a bias of the pairs', bias: [none, none, all, all], sizes: { window: [3, 1] } },
  { title: 'a bias for one axis less', bias: [all, all, all, none], sizes: { causal: true } },
  { title: 'one number', bias: [none, none, none, none] },
  { title: 'dropout of a half', dropout: 0.5 },
  { title: 'dropout, causal, odd numbers of keys', dropout: 0.3, sizes: { causal: true, seqLen: 65, kvLen: 67 } },
  { title: 'everything', slopes: 'bh', bias: [all, all, all, all], dropout: 0.2, sizes: { causal: true, window: [40, 0], numHeads: 4, numKvHeads: 2 } },
  { title: 'everything, one key head, after a cache', slopes: 'h', bias: [none, all, none, all], dropout: 0.2, sizes: { causal: true, window: [20, 0], numHeads: 3, numKvHeads: 1, seqLen: 3 } },
];

const base: AttentionSizes64 = { batchSize: 2, seqLen: 65, kvLen: 65, numHeads: 2, headDim: 8 };
/** Small enough for finite differences; the cases' own lengths do not count. */
const small = (sizes: Partial<AttentionSizes64> = {}): AttentionSizes64 => {
  const { seqLen = 5, kvLen = 5, window, ...rest } = sizes;
  return { ...base, ...rest, seqLen: Math.min(seqLen, 6), kvLen: Math.min(kvLen, 6), headDim: 4, window: window && [Math.min(window[0], 2), window[1]] };
};

type Inputs = { q: Tensor; k: Tensor; v: Tensor; bias?: Tensor };

forEachBackend((backend) => {
  it.each(CASES)('flashAttention(q, k, v, { alibiSlopes, bias, dropout }) agrees with the float64 oracle: $title', async ({ sizes, ...terms }) => {
    const made = withTerms(makeCase({ ...base, ...sizes }), terms);
    const expected = attention64(made.values.q, made.values.k, made.values.v, made.sizes);
    const { out, lse } = flashAttention(made.q, made.k, made.v, { ...made.options, returnLse: true });
    const composed = attentionReference(made.q, made.k, made.v, made.options);
    await expectClose(out, expected.out, { rtol: 1e-5, atol: 1e-5 });
    await expectClose(lse, expected.lse, { rtol: 1e-5, atol: 1e-5 });
    await expectNoWorseThan(out, composed, expected.out, { floor: 1e-6 }); // one unit in the last place of values up to 8
    dispose([out, lse, composed, made.q, made.k, made.v, made.terms]);
  });

  it.each(CASES)('the gradients in q, k, v and bias match finite differences: $title', async ({ sizes, ...terms }) => {
    const made = withTerms(makeCase(small(sizes)), terms);
    const { bias } = made.terms;
    const inputs: Record<string, Tensor> = { q: made.q, k: made.k, v: made.v, ...(bias && { bias }) };
    await checkOpGrad<string>({
      op: (p) => flashAttention(p.q as Tensor, p.k as Tensor, p.v as Tensor, { ...made.options, ...(p.bias && { bias: p.bias }) }),
      oracle64: (p) => attention64(p.q!, p.k!, p.v!, { ...made.sizes, ...(bias && { bias: { values: p.bias!, shape: bias.shape } }) }).out,
      inputs,
      directions: 2, flat: terms.bias?.[3] === false ? ['bias'] : [], // the same for all keys: the softmax does not see it
    });
    dispose([inputs, made.terms]);
  });

  it('a bias of −Infinity hides keys, also whole tiles of them; a query for which nothing is left gives NaN', async () => {
    const made = makeCase({ ...base, seqLen: 3, kvLen: 130 });
    const hidden = Float32Array.from({ length: 2 * 130 }, (_, i) => (i < 70 ? -Infinity : 0)); // left padding of the first sequence
    const bias = tensor(hidden, [2, 1, 1, 130]);
    const expected = attention64(made.values.q, made.values.k, made.values.v, { ...made.sizes, bias: { values: hidden, shape: bias.shape } });
    const cotangent = tensor(randomArray(made.q.size, { seed: 5 }), made.q.shape);
    const inputs = [made.q, made.k, made.v, bias];
    const [fused, composed] = [flashAttention, attentionReference].map((attention) => vjp(() => attention(made.q, made.k, made.v, { bias }), inputs, cotangent)) as [ReturnType<typeof vjp>, ReturnType<typeof vjp>];
    await expectClose(fused.value, expected.out, { atol: 1e-5 });
    for (const [i, grad] of fused.grads.entries()) await expectClose(grad, composed.grads[i]!, { rtol: 1e-4, atol: 1e-5 });
    const nothing = tensor([-Infinity], [1, 1, 1, 1]);
    for (const attention of [flashAttention, attentionReference]) {
      const { out, lse } = attention(made.q, made.k, made.v, { bias: nothing, returnLse: true });
      expect((await out.data()).every(Number.isNaN)).toBe(true);
      expect((await lse.data()).every(Number.isNaN)).toBe(true);
      dispose([out, lse]);
    }
    dispose([inputs, cotangent, fused.value, fused.grads, composed.value, composed.grads, nothing]);
  });

  it.each([NaN, Infinity])('a bias of %d in one place makes NaN what it makes NaN in attentionReference', async (value) => {
    const made = makeCase({ ...base, seqLen: 67, kvLen: 67 });
    const values = new Float32Array(67 * 67);
    values[20 * 67 + 65] = value;
    const bias = tensor(values, [1, 1, 67, 67]);
    const [fused, composed] = [flashAttention(made.q, made.k, made.v, { bias }), attentionReference(made.q, made.k, made.v, { bias })];
    expect((await fused.data()).filter(Number.isNaN).length).toBe(2 * 2 * 8);
    await expectClose(fused, composed, { atol: 1e-5 });
    dispose([made.q, made.k, made.v, bias, fused, composed]);
  });

  it('dropout of a weight on an infinite value gives NaN, as in attentionReference', async () => {
    const made = makeCase({ ...base, seqLen: 3, kvLen: 3 });
    const v = tensor(made.values.v.map((value, i) => (i === 0 ? Infinity : value)), made.v.shape);
    const options = { dropout: 0.5, train: true, seed: 3 };
    const [fused, composed] = [flashAttention(made.q, made.k, v, options), attentionReference(made.q, made.k, v, options)];
    await expectClose(fused, composed, { atol: 1e-5 });
    dispose([made.q, made.k, made.v, v, fused, composed]);
  });

  it('flashAttention(q, k, v, { bias }) frees all but its results, also where the gradient of alibiSlopes is refused', async () => {
    const made = withTerms(makeCase({ ...base, seqLen: 3, kvLen: 3 }), { slopes: 'h', bias: [none, all, all, all], dropout: 0.1 });
    const { q, k, v, options, terms: { alibiSlopes, bias } } = made;
    await expectNoLeak(() => flashAttention(q, k, v, options));
    await expectNoLeak(() => valueAndGrad((p: { q: Tensor; bias: Tensor }) => sum(flashAttention(p.q, k, v, { ...options, bias: p.bias })), { q, bias: bias! }));
    for (const attention of [flashAttention, attentionReference]) {
      await expectNoLeak(() => valueAndGrad((p: { slopes: Tensor }) => sum(attention(q, k, v, { alibiSlopes: p.slopes })), { slopes: alibiSlopes! }), {
        throws: 'alibiSlopes must be constants, got a request for their gradient. Use bias for a learned one.',
      });
    }
    dispose([q, k, v, made.terms]);
  });

  if (backend === 'evenkeel-wasm') {
    it.each(CASES)('the gradients equal those of attentionReference for 65 and 130 tokens: $title', async ({ sizes, ...terms }) => {
      for (const lengths of [{}, { batchSize: 1, seqLen: 130, kvLen: 130, headDim: 5 }]) {
        const made = withTerms(makeCase({ ...base, ...sizes, ...lengths }), terms);
        const { bias } = made.terms;
        const inputs: Inputs = { q: made.q, k: made.k, v: made.v, ...(bias && { bias }) };
        const cotangent = tensor(randomArray(made.q.size, { seed: 5 }), made.q.shape);
        const [fused, composed] = [flashAttention, attentionReference].map((attention) => valueAndGrad((p: Inputs) =>
          sum(mul(attention(p.q, p.k, p.v, { ...made.options, ...(p.bias && { bias: p.bias }) }), cotangent)), inputs)) as [{ value: Tensor; grads: Inputs }, { value: Tensor; grads: Inputs }];
        // The gradient of a bias that is broadcast is a sum of as many terms as it stands for.
        for (const [name, grad] of Object.entries(fused.grads)) await expectClose(grad, composed.grads[name as 'q'], { rtol: 1e-4, atol: name === 'bias' ? 5e-5 : 1e-5 });
        dispose([inputs as never, made.terms, cotangent, fused, composed]);
      }
    });

    it('flashAttention(q, k, v, { alibiSlopes, dropout }) never allocates a t×s matrix', () => {
      const peakOf = (seqLen: number): number => {
        const made = withTerms(makeCase({ batchSize: 1, seqLen, kvLen: seqLen, numHeads: 1, headDim: 8, causal: true }), { slopes: 'h', dropout: 0.1 });
        const { heap } = (engine().backend as unknown as { runtime: { heap: { resetPeak(): void; statistics(): { peakBytes: number; bytesInUse: number } } } }).runtime;
        heap.resetPeak();
        const before = heap.statistics().bytesInUse;
        const { value, grads } = valueAndGrad((p: { q: Tensor }) => sum(flashAttention(p.q, made.k, made.v, made.options)), { q: made.q });
        const peak = heap.statistics().peakBytes - before;
        dispose([value, grads.q, made.q, made.k, made.v, made.terms]);
        return peak;
      };
      expect(peakOf(512)).toBeLessThan(512 * 512 * 4);
      expect(peakOf(2048) / peakOf(1024)).toBeLessThan(2.3);
    });
  }
});

describe('flashAttention', () => {
  const { q, k, v } = { q: [2, 3, 4, 8], k: [2, 5, 2, 8], v: [2, 5, 2, 8] };
  const zeros = (shape: number[], dtype: 'float32' | 'int32' = 'float32') => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape, dtype);

  it.each([
    [{ alibiSlopes: [3] }, 'alibiSlopes must have shape [4], got [3]'],
    [{ alibiSlopes: [1, 4] }, 'alibiSlopes must have shape [2, 4], got [1, 4]'],
    [{ bias: [3, 5] }, 'bias must have rank 4, got shape [3, 5]'],
    [{ bias: [1, 2, 3, 5] }, 'bias must have shape [2, 4, 3, 5], each axis full or 1, got [1, 2, 3, 5]'],
  ] as [Record<string, number[]>, string][])('flashAttention(q, k, v, %j) says what is wrong', (shapes, message) => {
    const given = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, zeros(shape)]));
    const tensors = [q, k, v].map((shape) => zeros(shape)) as [Tensor, Tensor, Tensor];
    expect(() => flashAttention(...tensors, given)).toThrow(`flashAttention: ${message}`);
    expect(() => attentionReference(...tensors, given)).toThrow(`attentionReference: ${message}`);
    dispose([tensors, given as never]);
  });

  it('flashAttention(q, k, v, { bias }) rejects integers by name', () => {
    const tensors = [q, k, v].map((shape) => zeros(shape)) as [Tensor, Tensor, Tensor];
    const [bias, alibiSlopes] = [zeros([1, 1, 1, 1], 'int32'), zeros([4], 'int32')];
    expect(() => flashAttention(...tensors, { bias })).toThrow('flashAttention: bias must have dtype float32, got int32');
    expect(() => flashAttention(...tensors, { alibiSlopes })).toThrow('flashAttention: alibiSlopes must have dtype float32, got int32');
    dispose([tensors, bias, alibiSlopes]);
  });
});

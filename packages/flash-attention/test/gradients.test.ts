import { valueAndGrad, type AttentionFn } from '@evenkeel/core-tensor';
import { attentionReference, flashAttention } from '@evenkeel/flash-attention';
import { attention64, checkGrad, checkOpGrad, expectClose, forEachBackend, randomArray, type AttentionSizes64 } from '@evenkeel/testing';
import { add, concat, dispose, mul, reshape, square, sum, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { makeCase } from './cases.ts';

type Name = 'q' | 'k' | 'v';

const base: AttentionSizes64 = { batchSize: 2, seqLen: 5, kvLen: 5, numHeads: 2, headDim: 4 };

const CASES: (Partial<AttentionSizes64> & { title: string; flat?: Name[] })[] = [
  { title: 'full' },
  { title: 'causal', causal: true },
  // A single key always gets weight 1: nothing depends on the scores.
  { title: 'one token', seqLen: 1, kvLen: 1, causal: true, flat: ['q', 'k'] },
  { title: 'one new token after four, causal', seqLen: 1, causal: true },
  { title: 'more queries than keys, causal', seqLen: 7, kvLen: 3, causal: true },
  { title: 'a window', causal: true, window: [2, 0] },
  { title: 'a window to both sides and a scale', window: [1, 2], scale: 0.9 },
  { title: 'grouped heads', numHeads: 4, numKvHeads: 2, causal: true },
  { title: 'one key head', numHeads: 3, numKvHeads: 1, kvLen: 6 },
  { title: 'heads of width 3', headDim: 3, causal: true },
];

forEachBackend((backend) => {
  it.each(CASES)('the gradients of flashAttention match finite differences in q, k and v: $title', async ({ title: _, flat, ...sizes }) => {
    const { q, k, v, options, sizes: full } = makeCase({ ...base, ...sizes });
    await checkOpGrad<Name>({
      op: (p) => flashAttention(p.q, p.k, p.v, options),
      oracle64: (p) => attention64(p.q, p.k, p.v, full).out,
      inputs: { q, k, v }, flat,
    });
    dispose([q, k, v]);
  });

  it('the gradients of flashAttention equal those of attentionReference for 65 tokens', async () => {
    const { q, k, v, options } = makeCase({ ...base, batchSize: 1, seqLen: 65, kvLen: 65, headDim: 8, causal: true });
    const cotangent = tensor(randomArray(q.size, { seed: 5 }), q.shape);
    const gradsOf = (attention: AttentionFn) =>
      valueAndGrad((p: Record<Name, Tensor>) => sum(mul(attention(p.q, p.k, p.v, options), cotangent)), { q, k, v });
    const [fused, composed] = [gradsOf(flashAttention), gradsOf(attentionReference)];
    for (const name of ['q', 'k', 'v'] as const) await expectClose(fused.grads[name], composed.grads[name], { rtol: 1e-4, atol: 1e-5 });
    dispose([q, k, v, cotangent, fused, composed]);
  });

  it('the gradients of { out, lse } match finite differences in q, k and v', async () => {
    const { q, k, v, sizes } = makeCase({ ...base, causal: true });
    await checkOpGrad<Name>({
      op: (p) => {
        const { out, lse } = flashAttention(p.q, p.k, p.v, { causal: true, returnLse: true });
        return concat([reshape(out, [-1]), reshape(lse, [-1])]);
      },
      oracle64: (p) => {
        const { out, lse } = attention64(p.q, p.k, p.v, sizes);
        return Float64Array.from([...out, ...lse]);
      },
      inputs: { q, k, v },
    });
    dispose([q, k, v]);
  });

  it('the gradient of flashAttention in k adds up to 0 over the keys, since rowsum(P∘dP) = rowsum(dO∘O)', async () => {
    // dk_j = scale·Σ_i dS_ij q_i, and Σ_j dS_ij = 0 in every row exactly if D = rowsum(dO∘O) is the row sum of P∘dP.
    const { q, k, v } = makeCase({ ...base, seqLen: 7, kvLen: 9, causal: true });
    const cotangent = tensor(randomArray(q.size, { seed: 9 }), q.shape);
    for (const extra of [{}, { dropout: 0.4, train: true, seed: 3 }]) {
      const { value, grads } = valueAndGrad((p: { k: Tensor }) => sum(mul(flashAttention(q, p.k, v, { causal: true, ...extra }), cotangent)), { k });
      const total = sum(grads.k, 1); // b g d
      expect(Math.max(...(await grads.k.data()).map(Math.abs))).toBeGreaterThan(0.05);
      await expectClose(total, new Float32Array(total.size), { atol: 1e-5 });
      dispose([value, grads.k, total]);
    }
    dispose([q, k, v, cotangent]);
  });

  it.each([{ causal: true }, { causal: true, numKvHeads: 1, window: [2, 0] as const }])('the second derivatives of flashAttention match finite differences: %j', async (extra) => {
    const made = makeCase({ ...base, batchSize: 1, seqLen: 4, kvLen: 5, ...extra });
    const inputs: Record<Name, Tensor> = { q: made.q, k: made.k, v: made.v };
    const cotangent = randomArray(made.q.size, { seed: 7 });
    const directions = { q: randomArray(made.q.size, { seed: 2 }), k: randomArray(made.k.size, { seed: 3 }), v: randomArray(made.v.size, { seed: 4 }) };
    // L = Σ c·out²/2, so that v too enters it more than linearly; the oracle of ⟨∇L, d⟩ is its difference quotient along d.
    const loss = (p: Record<Name, Tensor>) => sum(mul(square(flashAttention(p.q, p.k, p.v, made.options)), tensor(cotangent.map((c) => c / 2), made.q.shape)));
    const loss64 = (p: Record<Name, Float64Array>) => attention64(p.q, p.k, p.v, made.sizes).out.reduce((total, y, i) => total + (cotangent[i]! * y * y) / 2, 0);
    const moved = (p: Record<Name, Float64Array>, step: number) => {
      const along = (name: Name) => p[name].map((value, i) => value + step * directions[name][i]!);
      return { q: along('q'), k: along('k'), v: along('v') };
    };
    const { value, grads } = valueAndGrad((outer: Record<Name, Tensor>) => {
      const first = valueAndGrad(loss, outer).grads;
      const slopes = (['q', 'k', 'v'] as const).map((name) => sum(mul(first[name], tensor(directions[name], outer[name].shape))));
      return slopes.reduce((a, b) => add(a, b));
    }, inputs);
    await checkGrad<Name>({
      loss64: (p) => (loss64(moved(p, 1e-3)) - loss64(moved(p, -1e-3))) / 2e-3, inputs, gradients: grads, step: 1e-3, rtol: 1e-3,
    });
    dispose([value, grads, inputs]);
  });

  if (backend === 'cpu') {
    it('the gradients of attentionReference match finite differences in q, k and v', async () => {
      const { q, k, v, sizes } = makeCase({ ...base, causal: true, window: [3, 0], numKvHeads: 1 });
      await checkOpGrad<Name>({
        op: (p) => attentionReference(p.q, p.k, p.v, { causal: true, window: [3, 0] }),
        oracle64: (p) => attention64(p.q, p.k, p.v, sizes).out,
        inputs: { q, k, v },
      });
      dispose([q, k, v]);
    });
  }
});

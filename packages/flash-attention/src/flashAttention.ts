import { fusedOp, runKernel } from '@evenkeel/core-tensor';
import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import {
  checkAttentionInputs, resolveOptions, type AttentionAttrs, type AttentionWithLse, type FlashAttentionOptions,
} from './options.ts';
import { referenceAttention } from './reference/attention.ts';

type Inputs = { q: Tensor; k: Tensor; v: Tensor };

/** The kernel's backward pass knows the gradient of `out` only: for when nobody can ask for that of `lse`. */
const fusedAttention = fusedOp<Inputs, AttentionAttrs, Tensor[]>({
  name: 'evenkeel/attention',
  reference: (inputs, attrs) => referenceAttention(inputs, attrs),
  gradient: {
    kernels: ['evenkeel/attentionGrad'],
    saveOutputs: [0, 1],
    run: ({ dy, inputs, outputs: [out, lse], attrs }) => {
      const [dq, dk, dv] = runKernel<Tensor[]>('evenkeel/attentionGrad', { ...inputs, out, lse, dy }, attrs);
      return { q: dq, k: dk, v: dv };
    },
  },
  differentiable: 'once',
});

/** The same kernel; gradients, also that of `lse`, go through the reference. */
const fusedAttentionWithLse = fusedOp<Inputs, AttentionAttrs, Tensor[]>({
  name: 'evenkeel/attention',
  reference: (inputs, attrs) => referenceAttention(inputs, attrs),
  differentiable: 'once',
});

/**
 * flashAttention — exact softmax attention that never holds the t×s score matrix, where the backend has the kernel for it.
 *
 *     out = softmax(scale · q kᵀ + mask) v        lse = log Σ exp(scale · q kᵀ + mask)
 *
 * It is itself an AttentionFn: hand it to a model as it is, or wrapped, `(q, k, v, o) => flashAttention(q, k, v, { ...o, window })`.
 * With causal or window, query i stands at key i + s − t (aligned bottom-right). A query that sees no key gives out 0 and
 * lse +Infinity. Query head i reads key head ⌊i·g/h⌋.
 *
 * @param q        `b t h d` — queries, float32.
 * @param k        `b s g d` — keys; g divides h (g = h: multi-head, g = 1: multi-query).
 * @param v        `b s g d` — values.
 * @param options  `scale` (default 1/√d); `causal` (default false); `window: [left, right]` in tokens (default unlimited);
 *                 `dropout` (default 0; acts with `train`, needs `seed`, and runs the reference); `returnLse` (default false).
 * @returns        `b t h d`, or `{ out, lse: b h t }` with `returnLse`; owned by the caller.
 * @throws ShapeError   if ranks, dtypes or sizes do not fit.
 * @throws ConfigError  if an option is out of range, or dropout acts without a seed.
 *
 * Source: Dao et al. 2022, arXiv:2205.14135, algorithms 1 and 2. Departs from the paper: masks are aligned bottom-right, as
 * in the official code since 2.1; the dropout mask comes from Threefry with a 32-bit threshold.
 */
export function flashAttention(q: Tensor, k: Tensor, v: Tensor, options?: FlashAttentionOptions & { returnLse?: false }): Tensor;
export function flashAttention(q: Tensor, k: Tensor, v: Tensor, options: FlashAttentionOptions & { returnLse: true }): AttentionWithLse;
export function flashAttention(q: Tensor, k: Tensor, v: Tensor, options: FlashAttentionOptions = {}): Tensor | AttentionWithLse {
  checkAttentionInputs('flashAttention', q, k, v);
  const { attrs, dropout } = resolveOptions('flashAttention', q, k, options);
  const { returnLse = false } = options;
  return tidy('flashAttention', (): Tensor | AttentionWithLse => {
    const inputs = { q, k, v };
    const run = returnLse ? fusedAttentionWithLse : fusedAttention;
    const [out, lse] = (dropout === undefined ? run(inputs, attrs) : referenceAttention(inputs, attrs, dropout)) as [Tensor, Tensor];
    return returnLse ? { out, lse } : out;
  });
}

import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { attend } from './attend.ts';
import { checkAttentionInputs, sizesOf } from './inputs.ts';
import { checkOptionNames, OPTIONS } from './optionNames.ts';
import type { AttentionResult, AttentionWithLse, AttentionWithStats, FlashAttentionOptions, ReturnStats } from './options.ts';
import { referenceAttention, referenceStats } from './reference/attention.ts';
import { referenceGeneral, referenceGeneralStats } from './reference/general.ts';

/**
 * attentionReference — `flashAttention` with the whole t×s score matrix written out: the slow truth, on every backend.
 *
 * Takes the same arguments, gives the same result and throws the same errors; keeps `b h t s` numbers for the backward pass.
 *
 * @param q  `b t h d`, @param k  `b s g d`, @param v  `b s g d` — float32; g divides h.
 * @returns  `b t h d`, or `{ out, lse }` with `returnLse`, or `{ out, lse, rowMax, entropy }` with `returnStats`; owned by the caller.
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1.
 */
export function attentionReference(q: Tensor, k: Tensor, v: Tensor, options?: FlashAttentionOptions & { returnLse?: false; returnStats?: false }): Tensor;
export function attentionReference(q: Tensor, k: Tensor, v: Tensor, options: FlashAttentionOptions & { returnStats: true }): AttentionWithStats;
export function attentionReference(q: Tensor, k: Tensor, v: Tensor, options: FlashAttentionOptions & { returnLse: true; returnStats?: false }): AttentionWithLse;
export function attentionReference(q: Tensor, k: Tensor, v: Tensor, options?: FlashAttentionOptions & ReturnStats): AttentionResult;
export function attentionReference(q: Tensor, k: Tensor, v: Tensor, options: FlashAttentionOptions & ReturnStats = {}): AttentionResult {
  checkAttentionInputs('attentionReference', q, k, v);
  checkOptionNames('attentionReference', options, OPTIONS);
  return tidy('attentionReference', (): AttentionResult => attend('attentionReference', sizesOf(q, k), options, {
    plain: (terms, attrs, wanted) => (wanted === 'stats' ? referenceStats : referenceAttention)({ q, k, v, ...terms }, attrs),
    general: (terms, attrs, wanted) => (wanted === 'stats' ? referenceGeneralStats : referenceGeneral)({ q, k, v, ...terms }, attrs),
  }));
}

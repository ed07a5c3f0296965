import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { checkAttentionInputs, resolveOptions, sizesOf, type AttentionWithLse, type FlashAttentionOptions } from './options.ts';
import { referenceAttention } from './reference/attention.ts';

/**
 * attentionReference — `flashAttention` with the whole t×s score matrix written out: the slow truth, on every backend.
 *
 * Takes the same arguments, gives the same result and throws the same errors; keeps `b h t s` numbers for the backward pass.
 *
 * @param q  `b t h d`, @param k  `b s g d`, @param v  `b s g d` — float32; g divides h.
 * @returns  `b t h d`, or `{ out, lse }` with `returnLse`; owned by the caller.
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1.
 */
export function attentionReference(q: Tensor, k: Tensor, v: Tensor, options?: FlashAttentionOptions & { returnLse?: false }): Tensor;
export function attentionReference(q: Tensor, k: Tensor, v: Tensor, options: FlashAttentionOptions & { returnLse: true }): AttentionWithLse;
export function attentionReference(q: Tensor, k: Tensor, v: Tensor, options: FlashAttentionOptions = {}): Tensor | AttentionWithLse {
  checkAttentionInputs('attentionReference', q, k, v);
  return tidy('attentionReference', (): Tensor | AttentionWithLse => {
    const { attrs, terms } = resolveOptions('attentionReference', sizesOf(q, k), options);
    const [out, lse] = referenceAttention({ q, k, v, ...terms }, attrs);
    return options.returnLse === true ? { out, lse } : out;
  });
}

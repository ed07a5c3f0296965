import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { fusedVarlen, fusedVarlenWithLse } from './fusedVarlen.ts';
import type { AttentionWithLse } from './options.ts';
import { checkVarlenInputs, resolveVarlen, type CuSeqlens, type FlashAttentionVarlenOptions } from './varlenOptions.ts';

/**
 * flashAttentionVarlen — `flashAttention` on sequences of different lengths that lie one after another in one tensor, without padding.
 *
 *     sequence i:  rows cuSeqlensQ[i] … cuSeqlensQ[i+1] of q, rows cuSeqlensK[i] … cuSeqlensK[i+1] of k and v
 *
 * Each sequence is what `flashAttention` makes of it alone, with t and s its own lengths; nothing in one ever changes another. A sequence
 * may be empty; queries of one without keys give out 0 and lse +Infinity. With dropout the weight of query row r (of all n), head i and
 * key column j (of its sequence) is dropped by word (i·n + r)·maxSeqlenK + j of the seed's random bits.
 *
 * @param q           `n h d` — the queries of all sequences, float32.
 * @param k           `m g d` — the keys; g divides h.
 * @param v           `m g d` — the values.
 * @param cuSeqlensQ  `b+1` — where the queries of each sequence begin, from 0 to n: numbers, or an int32 tensor. A tensor is not read, so
 *                    it cannot be checked: rows beyond its last number belong to no sequence and give out 0 and lse +Infinity.
 * @param cuSeqlensK  `b+1` — the same for the keys, from 0 to m.
 * @param options     `scale`, `causal`, `window`, `alibiSlopes: h` or `b h`, `dropout`, `train`, `seed`, `returnLse` as `flashAttention`;
 *                    `maxSeqlenQ`, `maxSeqlenK`: the greatest lengths, needed with tensors.
 * @returns           `n h d`, or `{ out, lse: h n }` with `returnLse`; owned by the caller.
 * @throws ShapeError   if ranks, dtypes or sizes do not fit.
 * @throws ConfigError  if the boundaries do not fit the rows, an option is out of range or not one of these.
 *
 * Source: Dao 2023, arXiv:2307.08691; the name follows the official code's `flash_attn_varlen_func`.
 */
export function flashAttentionVarlen(
  q: Tensor, k: Tensor, v: Tensor, cuSeqlensQ: CuSeqlens, cuSeqlensK: CuSeqlens, options?: FlashAttentionVarlenOptions & { returnLse?: false },
): Tensor;
export function flashAttentionVarlen(
  q: Tensor, k: Tensor, v: Tensor, cuSeqlensQ: CuSeqlens, cuSeqlensK: CuSeqlens, options: FlashAttentionVarlenOptions & { returnLse: true },
): AttentionWithLse;
export function flashAttentionVarlen(
  q: Tensor, k: Tensor, v: Tensor, cuSeqlensQ: CuSeqlens, cuSeqlensK: CuSeqlens, options?: FlashAttentionVarlenOptions,
): Tensor | AttentionWithLse;
export function flashAttentionVarlen(
  q: Tensor, k: Tensor, v: Tensor, cuSeqlensQ: CuSeqlens, cuSeqlensK: CuSeqlens, options: FlashAttentionVarlenOptions = {},
): Tensor | AttentionWithLse {
  checkVarlenInputs('flashAttentionVarlen', q, k, v);
  return tidy('flashAttentionVarlen', (): Tensor | AttentionWithLse => {
    const { inputs, attrs } = resolveVarlen('flashAttentionVarlen', [q, k, v], { q: cuSeqlensQ, k: cuSeqlensK }, options);
    const { returnLse = false } = options;
    const [out, lse] = (returnLse ? fusedVarlenWithLse : fusedVarlen)(inputs, attrs) as [Tensor, Tensor];
    return returnLse ? { out, lse } : out;
  });
}

import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { attend } from './attend.ts';
import { flashAttentionPacked } from './flashAttentionPacked.ts';
import { fusedAttention } from './fusedAttention.ts';
import { fusedGeneral } from './fusedGeneral.ts';
import { checkAttentionInputs, sizesOf } from './inputs.ts';
import { checkOptionNames, OPTIONS } from './optionNames.ts';
import type { AttentionResult, AttentionWithLse, AttentionWithStats, FlashAttentionOptions, ReturnStats } from './options.ts';

type FlashAttention = {
  (q: Tensor, k: Tensor, v: Tensor, options?: FlashAttentionOptions & { returnLse?: false; returnStats?: false }): Tensor;
  (q: Tensor, k: Tensor, v: Tensor, options: FlashAttentionOptions & { returnStats: true }): AttentionWithStats;
  (q: Tensor, k: Tensor, v: Tensor, options: FlashAttentionOptions & { returnLse: true; returnStats?: false }): AttentionWithLse;
  (q: Tensor, k: Tensor, v: Tensor, options?: FlashAttentionOptions & ReturnStats): AttentionResult;
};

/**
 * flashAttention — exact softmax attention that never holds the t×s score matrix, where the backend has the kernel for it.
 *
 *     scores = cap(scale · q kᵀ) − slope · distance + bias + mask     out = dropout(softmax(scores)) v     lse = log Σ exp(scores)
 *     cap(x) = c · tanh(x / c)
 *
 * It is itself an AttentionFn: hand it to a model as it is, or wrapped, `(q, k, v, o) => flashAttention(q, k, v, { ...o, window })`.
 * Its `packed` is `flashAttentionPacked`.
 * With causal or window, query i stands at key i + s − t (aligned bottom-right). A query that sees no key gives out 0 and
 * lse +Infinity; one whose visible scores are all −Infinity by `bias` gives NaN. Query head i reads key head ⌊i·g/h⌋. Element i of
 * `b h t s` is dropped where word i of the seed's random bits is below dropout · 2³², on every backend; lse does not depend on it.
 *
 * @param q        `b t h d` — queries, float32.
 * @param k        `b s g d` — keys; g divides h (g = h: multi-head, g = 1: multi-query).
 * @param v        `b s g d` — values.
 * @param options  `scale` (default 1/√d); `causal` (default false); `window: [left, right]` in tokens (default unlimited);
 *                 `softcap` c (default 0: no cap); `alibiSlopes: h` or `b h`, which lower scores by slope · |i + s − t − j|, constants;
 *                 `bias`, float32 of shape `b h t s` with any axis 1 instead, differentiable; `keyPaddingMask: b s`, 0 = padding;
 *                 `blockMask: ⌈t/blockQ⌉ ⌈s/blockK⌉`, 0 = leave the tile out, with `blockSize` (default [64, 64]);
 *                 `dropout` (default 0; acts with `train` and needs `seed`); `returnLse`, `returnStats` (default false).
 * @returns        `b t h d`; `{ out, lse: b h t }` with `returnLse`, both differentiable; `{ out, lse, rowMax, entropy }` with
 *                 `returnStats`, of which only `out` is; owned by the caller.
 * @throws ShapeError   if ranks, dtypes or sizes do not fit.
 * @throws ConfigError  if an option is out of range or has no known name, dropout acts without a seed, or the gradient of a constant is asked for.
 *
 * Sources: Dao et al. 2022, arXiv:2205.14135, algorithms 1, 2 and 5 (block sparsity); ALiBi is Press et al. 2021, arXiv:2108.12409, §3;
 * the cap is that of Gemma 2, 2024, arXiv:2408.00118, §2. Departs from the papers: masks are aligned bottom-right, as in the official
 * code since 2.1; the dropout mask comes from Threefry with a 32-bit threshold; dropout and softcap may be combined.
 */
export const flashAttention = /* @__PURE__ */ Object.assign(function flashAttention(q: Tensor, k: Tensor, v: Tensor, options: FlashAttentionOptions & ReturnStats = {}): AttentionResult {
  checkAttentionInputs('flashAttention', q, k, v);
  checkOptionNames('flashAttention', options, OPTIONS);
  return tidy('flashAttention', (): AttentionResult => attend('flashAttention', sizesOf(q, k), options, {
    plain: (terms, attrs, wanted) => fusedAttention[wanted]({ q, k, v, ...terms }, attrs),
    general: (terms, attrs, wanted) => fusedGeneral[wanted]({ q, k, v, ...terms }, attrs),
  }));
} as FlashAttention, { packed: flashAttentionPacked });

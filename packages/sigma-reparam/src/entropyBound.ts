import { checkDtype, checkInteger, checkMinRank, checkRange } from '@evenkeel/core-tensor';
import {
  add, div, exp, greaterEqual, log1p, maximum, mul, neg, range, reshape, sqrt, square, sub, sum, tidy, where, zerosLike, type Tensor,
} from '@tensorflow/tfjs-core';

/**
 * attentionEntropyLowerBound — the least entropy, in nats, that a row of attention weights over `T` keys can have.
 *
 *     ln(1 + (T−1)·β) + S·√(T(T−1))·β / (1 + (T−1)·β)        β = exp(−S·√(T/(T−1)))
 *
 * Attained by the logits S·(√((T−1)/T), −1/√(T(T−1)), …); falls as T·S·e^(−S) for large S; ln T at S = 0.
 *
 * @param spectralNorm  S ≥ 0: what the 2-norm of a row of logits cannot exceed, ‖W_K W_Qᵀ‖₂ · ‖X Xᵀ‖₂ · scale.
 * @param T             number of visible keys, an integer ≥ 1.
 * @throws ConfigError  if a number is out of range.
 *
 * Source: Zhai et al. 2023, arXiv:2303.06296, theorem 3.1.
 */
export function attentionEntropyLowerBound(spectralNorm: number, T: number): number {
  checkRange('attentionEntropyLowerBound', 'spectralNorm', spectralNorm, 0, Number.MAX_VALUE);
  checkInteger('attentionEntropyLowerBound', 'T', T);
  if (T === 1) return 0;
  const beta = Math.exp(-spectralNorm * Math.sqrt(T / (T - 1)));
  const rest = (T - 1) * beta;
  // S·β is 0 where β is, also where S is so large that their product would be no number.
  return Math.log1p(rest) + (beta === 0 ? 0 : (spectralNorm * Math.sqrt(T * (T - 1)) * beta) / (1 + rest));
}

export type RowEntropyBoundOptions = {
  /** Whether query i of t sees keys ≤ i + s − t only; default false. */
  readonly causal?: boolean;
};

/**
 * attentionRowEntropyLowerBound — the same for each row of logits: S is the 2-norm of its logits about their mean, T the number of keys that
 * it sees, so that the bound is the sharpest that the norm allows.
 *
 * @param logits   `... t s`, float32, already scaled; those that a query does not see may be anything.
 * @param options  `causal` (default false).
 * @returns        `... t`, in nats; 0 where a query sees one key or none. Owned by the caller.
 * @throws ShapeError  if `logits` is not float32 or has less than two axes.
 *
 * Source: as attentionEntropyLowerBound; the logits' mean does not change the weights.
 */
export function attentionRowEntropyLowerBound(logits: Tensor, { causal = false }: RowEntropyBoundOptions = {}): Tensor {
  checkMinRank('attentionRowEntropyLowerBound', 'logits', logits, 2);
  checkDtype('attentionRowEntropyLowerBound', 'logits', logits, 'float32');
  return tidy('attentionRowEntropyLowerBound', () => {
    const [t, s] = logits.shape.slice(-2) as [number, number];
    const lastSeen = causal ? add(range(0, t), s - t) : add(zerosLike(range(0, t)), s - 1); // t
    const sees = greaterEqual(reshape(lastSeen, [t, 1]), reshape(range(0, s), [1, s])); // t s
    const seen = (x: Tensor): Tensor => where(sees, x, zerosLike(x));
    const keys = maximum(add(lastSeen, 1), 1); // t
    const mean = div(sum(seen(logits), -1), keys); // ... t
    const norm = sqrt(sum(square(seen(sub(logits, reshape(mean, [...mean.shape, 1])))), -1)); // ... t
    const others = sub(keys, 1);
    const beta = exp(neg(mul(norm, sqrt(div(keys, maximum(others, 1))))));
    const rest = mul(others, beta);
    return add(log1p(rest), div(mul(mul(norm, sqrt(mul(keys, others))), beta), add(rest, 1)));
  });
}

import { checkDtype, checkMinRank, checkOneOf, checkRank, ConfigError, ShapeError, describeShape } from '@evenkeel/core-tensor';
import { log, maximum, mul, neg, sum, tensor1d, tidy, where, zerosLike, type Tensor, type Tensor1D } from '@tensorflow/tfjs-core';

export type AttentionEntropyOptions = {
  /** `… t s`, true where a query may attend: whatever stands elsewhere counts as 0. Axes of 1 repeat. Default all. */
  readonly mask?: Tensor;
};

/**
 * attentionEntropy — the entropy of attention weights, row by row, in nats: 0 for a row that looks at one key, ln s for one that looks at all of
 * s keys alike. For weights that exist as a matrix; a fused attention tells of `entropy` by itself (see `monitor`).
 *
 *     H = −Σⱼ pⱼ ln pⱼ,   0 ln 0 = 0
 *
 * @param probs    `… t s` — rows that sum to 1.
 * @param options  `mask`.
 * @returns        `… t`; the caller's.
 * @throws ShapeError  if `probs` is not float32 or has fewer than two axes, or `mask` is not bool or does not fit it.
 *
 * Source: Zhai et al. 2023, arXiv:2303.06296, §3.
 */
export function attentionEntropy(probs: Tensor, { mask }: AttentionEntropyOptions = {}): Tensor {
  checkMinRank('attentionEntropy', 'probs', probs, 2);
  checkDtype('attentionEntropy', 'probs', probs, 'float32');
  if (mask !== undefined) checkMask(mask, probs);
  return tidy('attentionEntropy', () => {
    const p = mask === undefined ? probs : where(mask, probs, zerosLike(probs)); // … t s
    return neg(sum(mul(p, log(maximum(p, 1e-38))), -1)); // 0 · ln(1e-38) is 0
  });
}

function checkMask(mask: Tensor, { shape }: Tensor): void {
  checkDtype('attentionEntropy', 'mask', mask, 'bool');
  const offset = shape.length - mask.shape.length;
  const fits = offset >= 0 && mask.shape.every((size, axis) => size === 1 || size === shape[axis + offset]);
  if (!fits) throw new ShapeError(`attentionEntropy: mask must fit probs ${describeShape(shape)}, got ${describeShape(mask.shape)}`);
}

/** VisibleKeys — how many keys query `t` (from 0) of `length` sees: `causal`: t + 1; `all`: length; or a function. */
export type VisibleKeys = 'causal' | 'all' | ((t: number, length: number) => number);

/**
 * headEntropy — the entropy of each head as a share of what it could be: mean over batch and queries of H/ln(visible keys). Queries that see one
 * key have nothing to choose and do not count.
 *
 * @param entropy      `b h t`, in nats.
 * @param visibleKeys  default `causal`.
 * @returns            `h`, from 0 (each query looks at one key) to 1 (at all alike); the caller's.
 * @throws ShapeError   if `entropy` is not `b h t` in float32.
 * @throws ConfigError  if no query sees two keys, or `visibleKeys` is none of what it can be.
 */
export function headEntropy(entropy: Tensor, visibleKeys: VisibleKeys = 'causal'): Tensor1D {
  checkRank('headEntropy', 'entropy', entropy, 3);
  checkDtype('headEntropy', 'entropy', entropy, 'float32');
  checkVisibleKeys('headEntropy', visibleKeys);
  const [B, , T] = entropy.shape as [number, number, number];
  const shares = sharesOf(B, T, visibleKeys);
  return tidy('headEntropy', () => sum(mul(entropy, tensor1d(shares)), [0, 2]) as Tensor1D); // h
}

/** checkVisibleKeys — throws ConfigError unless it is `causal`, `all` or a function. */
export function checkVisibleKeys(fn: string, visibleKeys: VisibleKeys): void {
  if (typeof visibleKeys !== 'function') checkOneOf(fn, 'visibleKeys', visibleKeys, ['causal', 'all']);
}

/** What a query's entropy counts in its head's: 1/(ln(visible) · batch · counted queries). */
function sharesOf(batch: number, length: number, visibleKeys: VisibleKeys): number[] {
  const visible = Array.from({ length }, (_, t) => (visibleKeys === 'causal' ? t + 1 : visibleKeys === 'all' ? length : visibleKeys(t, length)));
  const counted = visible.filter((keys) => keys >= 2).length;
  if (counted === 0) throw new ConfigError(`headEntropy: visibleKeys must give 2 or more for some query, got ${Math.max(...visible)} at most`);
  return visible.map((keys) => (keys >= 2 ? 1 / (Math.log(keys) * batch * counted) : 0));
}

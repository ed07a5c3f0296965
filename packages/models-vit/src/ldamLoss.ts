import { checkPositive, checkRank, checkShape } from '@evenkeel/core-tensor';
import { mul, oneHot, sub, tidy, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { weightedCrossEntropy } from './weightedCrossEntropy.ts';

export type LdamLossOptions = {
  /** `n` — by `ldamMargins`. */
  margins: Tensor;
  /** Default 30. */
  scale?: number;
  /** `n` — default all alike. */
  classWeights?: Tensor;
};

/**
 * ldamLoss — cross-entropy of cosines with a margin: the target's cosine must be ahead by as much as its class is rare.
 *
 *     loss = CE(scale · (cosines − onehot(y) · margin_y), y)
 *
 * @param cosines  `b n` — of a model with `head: cosineLayer()`.
 * @param targets  `b` — int32 classes.
 * @returns        one number in nats, owned by the caller.
 * @throws ShapeError   if shapes do not fit. ConfigError if `scale` is not positive.
 *
 * Source: Cao et al. 2019, arXiv:1906.07413, eq. 12.
 */
export function ldamLoss(cosines: Tensor, targets: Tensor, { margins, scale = 30, classWeights }: LdamLossOptions): Scalar {
  checkRank('ldamLoss', 'cosines', cosines, 2);
  checkShape('ldamLoss', 'margins', margins, [cosines.shape[1] as number]);
  checkPositive('ldamLoss', 'scale', scale);
  return tidy('ldamLoss', () => {
    const ofTarget = mul(oneHot(targets as Tensor, cosines.shape[1] as number, 1, 0, 'float32'), margins); // b n
    return weightedCrossEntropy(mul(sub(cosines, ofTarget), scale), targets, classWeights);
  });
}

import { checkDtype, checkRank, checkShape } from '@evenkeel/core-tensor';
import { crossEntropy, crossEntropyPerToken } from '@evenkeel/layers';
import { div, gather, mul, sum, tidy, type Scalar, type Tensor } from '@tensorflow/tfjs-core';

/**
 * weightedCrossEntropy — cross-entropy in which each class counts by its weight: a weighted mean, so the scale of the weights is no matter.
 *
 *     loss = Σ_b w[y_b] · nll_b / Σ_b w[y_b]
 *
 * @param logits   `b n`.
 * @param targets  `b` — int32 classes.
 * @param weights  `n` — float32, by `classBalancedWeights`; default all alike.
 * @returns        one number in nats, owned by the caller.
 * @throws ShapeError  if shapes or dtypes do not fit.
 */
export function weightedCrossEntropy(logits: Tensor, targets: Tensor, weights?: Tensor): Scalar {
  if (weights === undefined) return crossEntropy(logits, targets);
  checkRank('weightedCrossEntropy', 'logits', logits, 2);
  checkDtype('weightedCrossEntropy', 'weights', weights, 'float32');
  checkShape('weightedCrossEntropy', 'weights', weights, [logits.shape[1] as number]);
  return tidy('weightedCrossEntropy', () => {
    const losses = crossEntropyPerToken(logits, targets); // b
    const ofImage = gather(weights, targets); // b
    return div(sum(mul(ofImage, losses)), sum(ofImage));
  });
}

import { checkDtype, checkRank, checkShape } from '@evenkeel/core-tensor';
import { crossEntropy } from '@evenkeel/layers';
import { logSoftmax, mean, mul, neg, sum, tidy, type Scalar, type Tensor } from '@tensorflow/tfjs-core';

/**
 * targetCrossEntropy — mean cross-entropy in nats of classes, or of probabilities of classes as mixing and label smoothing make them.
 *
 *     loss = −mean_b Σ_n targets[b, n] · log softmax(logits[b])[n]
 *
 * @param logits   `b n` — float32.
 * @param targets  `b` — int32 classes; or `b n` — float32.
 * @returns        one number, owned by the caller.
 * @throws ShapeError  if shapes or dtypes do not fit.
 */
export function targetCrossEntropy(logits: Tensor, targets: Tensor): Scalar {
  if (targets.dtype === 'int32') return crossEntropy(logits, targets);
  checkRank('targetCrossEntropy', 'logits', logits, 2);
  checkDtype('targetCrossEntropy', 'targets', targets, 'float32');
  checkShape('targetCrossEntropy', 'targets', targets, logits.shape);
  return tidy('targetCrossEntropy', () => neg(mean(sum(mul(targets, logSoftmax(logits)), 1))) as Scalar);
}

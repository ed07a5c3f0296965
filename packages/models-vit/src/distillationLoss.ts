import { checkRange, checkShape } from '@evenkeel/core-tensor';
import { add, argMax, mul, tidy, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { targetCrossEntropy } from './targetCrossEntropy.ts';
import { weightedCrossEntropy } from './weightedCrossEntropy.ts';

export type DistillationTargets = {
  /** What the images are: classes `b` (int32), or probabilities `b n` (float32), mixed and smoothed. */
  targets: Tensor;
  /** `b n` — what the teacher, in evaluation, says of the very same images. */
  teacherLogits: Tensor;
  /** `n` — weights of the classes for what the teacher says, by `deferredReweighting`; default all alike. */
  classWeights?: Tensor;
};

/**
 * distillationLoss — the class token learns the labels, the distillation token what a teacher takes the images for.
 *
 *     loss = (1 − alpha) · CE(cls, targets) + alpha · CE_w(dist, argmax(teacher))        CE_w: see weightedCrossEntropy
 *
 * @param logits   `{ cls: b n, dist: b n }` of `model.heads(…)` of a distilled model.
 * @param options  `alpha` (default 0.5).
 * @returns        one number in nats, owned by the caller. No gradient reaches the teacher.
 * @throws ShapeError   if shapes do not fit. ConfigError if `alpha` is not from 0 to 1.
 *
 * Source: hard distillation of Touvron et al. 2020, arXiv:2012.12877, eq. 3; weights of Rangwani et al. 2024, arXiv:2404.02900, §3.2.
 */
export function distillationLoss({ cls, dist }: { cls: Tensor; dist: Tensor }, { targets, teacherLogits, classWeights }: DistillationTargets, { alpha = 0.5 }: { alpha?: number } = {}): Scalar {
  checkRange('distillationLoss', 'alpha', alpha, 0, 1);
  checkShape('distillationLoss', 'dist', dist, cls.shape);
  checkShape('distillationLoss', 'teacherLogits', teacherLogits, cls.shape);
  return tidy('distillationLoss', () => {
    const labels = argMax(teacherLogits, 1); // b, int32
    return add(mul(targetCrossEntropy(cls, targets), 1 - alpha), mul(weightedCrossEntropy(dist, labels, classWeights), alpha)) as Scalar;
  });
}

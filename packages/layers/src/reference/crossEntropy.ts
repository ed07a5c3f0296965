import {
  add, cast, equal, fill, greaterEqual, less, logicalAnd, logicalOr, logSumExp, mean, mul, notEqual, range, reshape, scalar, square, sub,
  sum, where, zeros, zerosLike, type Tensor,
} from '@tensorflow/tfjs-core';

export type CrossEntropyAttrs = { ignoreIndex: number; labelSmoothing: number; zLoss: number };

/**
 * referenceCrossEntropy — the loss of each row in tfjs ops: the truth that kernels are held to, differentiable to every order.
 *
 * @param logits   `n v`; @param targets  `n`, int32.
 * @returns        `loss: n` (0 where the target is ignored, NaN where it is no class) and `lse: n` (without meaning where ignored).
 */
export function referenceCrossEntropy(
  { logits, targets }: { logits: Tensor; targets: Tensor }, { ignoreIndex, labelSmoothing, zLoss }: CrossEntropyAttrs,
): [loss: Tensor, lse: Tensor] {
  const [rows, columns] = logits.shape as [number, number];
  const column = reshape(targets, [rows, 1]);
  // Selected, not multiplied by 0 or 1: a logit that does not count may be infinite or NaN, also in the gradient.
  const nothing = zerosLike(logits);
  const scores = where(notEqual(column, fill([1, columns], ignoreIndex, 'int32')), logits, nothing); // n v
  const lse = logSumExp(scores, 1); // n
  const ofTarget = sum(where(equal(column, reshape(range(0, columns, 1, 'int32'), [1, columns])), scores, nothing), 1); // n
  const sharp = mul(sub(lse, ofTarget), 1 - labelSmoothing);
  const smooth = labelSmoothing === 0 ? sharp : add(sharp, mul(sub(lse, mean(scores, 1)), labelSmoothing));
  const loss = zLoss === 0 ? smooth : add(smooth, mul(square(lse), zLoss));
  const counted = mul(loss, countedTargets(targets, ignoreIndex)); // n
  return [add(counted, nanWhereUnknown(targets, ignoreIndex, columns)), lse];
}

/** `n`: NaN where a target is neither ignored nor a class, else 0. Such data would otherwise train on in silence. */
function nanWhereUnknown(targets: Tensor, ignoreIndex: number, vocabSize: number): Tensor {
  const isOutside = logicalOr(less(targets, 0), greaterEqual(targets, vocabSize));
  const isUnknown = logicalAnd(isOutside, notEqual(targets, scalar(ignoreIndex, 'int32')));
  return where(isUnknown, fill(targets.shape, NaN), zeros(targets.shape)); // n
}

/** countedTargets — `...`: 1 where a target counts, 0 where it is ignored. */
export function countedTargets(targets: Tensor, ignoreIndex: number): Tensor {
  return cast(notEqual(targets, scalar(ignoreIndex, 'int32')), 'float32');
}

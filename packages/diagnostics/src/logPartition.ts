import { checkDtype, checkMinRank } from '@evenkeel/core-tensor';
import { logSumExp, max, mean, stack, tidy, type Tensor, type Tensor1D } from '@tensorflow/tfjs-core';

/**
 * logPartition — ln Σⱼ exp(yⱼ) of output logits, which z-loss keeps near 0 and which drifts before the output diverges.
 *
 * @param logits  `… v`, float32.
 * @returns       [mean, largest] over rows; the caller's.
 * @throws ShapeError  if `logits` is not float32 or has no axis.
 *
 * Source: Chowdhery et al. 2022, arXiv:2204.02311, §5; Wortsman et al. 2023, arXiv:2309.14322, §3.1.2.
 */
export function logPartition(logits: Tensor): Tensor1D {
  checkMinRank('logPartition', 'logits', logits, 1);
  checkDtype('logPartition', 'logits', logits, 'float32');
  return tidy('logPartition', () => {
    const z = logSumExp(logits, -1); // …
    return stack([mean(z), max(z)]) as Tensor1D;
  });
}

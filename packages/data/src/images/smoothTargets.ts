import { checkRange } from '@evenkeel/core-tensor';
import type { Augmentation } from './imageBatch.ts';

/**
 * smoothTargets — label smoothing: a share of every target spread evenly over all classes.
 *
 *     y′ = (1 − epsilon) y + epsilon / n
 *
 * @param options  `epsilon` (default 0.1).
 *
 * Source: Szegedy et al. 2015, arXiv:1512.00567, §7.
 */
export function smoothTargets({ epsilon = 0.1 }: { epsilon?: number } = {}): Augmentation {
  checkRange('smoothTargets', 'epsilon', epsilon, 0, 1);
  return (batch) => ({ ...batch, targets: batch.targets.map((target) => (1 - epsilon) * target + epsilon / batch.numClasses) });
}

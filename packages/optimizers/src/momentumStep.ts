import type { Tensor } from '@tensorflow/tfjs-core';
import { hasListKernel, runListKernel, unshare, type TensorLists } from '@evenkeel/core-tensor';
import { momentumReference, type MomentumAttrs, type MomentumLists } from './reference/momentum.ts';
import { standOnce } from './scaledSums.ts';

/**
 * momentumStep — the updates of an optimizer that keeps one moment, for all parameters in one kernel where the backend has it; brings
 * `mu` up to date.
 *
 *     g' = factor · (grad + penalty · param)          d = aheadKeep · mu + aheadTake · g'
 *     mu ← keep · mu + take · g'                      update = −learningRate · scale · (outFactor · d + weightDecay · param)
 *
 * With `sign`, sign(d) stands for d.
 */
export function momentumStep(lists: MomentumLists, attrs: MomentumAttrs): Tensor[] {
  if (!standOnce(lists.mu) || !hasListKernel('evenkeel/momentum')) return momentumReference(lists, attrs);
  unshare(lists.mu);
  return runListKernel('evenkeel/momentum', lists as unknown as TensorLists, attrs);
}

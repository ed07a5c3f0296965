import type { Tensor } from '@tensorflow/tfjs-core';
import { attentionMask } from '../mask.ts';
import type { GeneralAttrs, GeneralInputs } from '../options.ts';
import { outAndLse } from './attention.ts';
import { blockwiseMask } from './blockwiseMask.ts';
import { attentionScores, scoreMask, type ScoreMask } from './scores.ts';
import { rowStatistics } from './statistics.ts';

/** referenceGeneral — `referenceAttention` with `softcap` and `blockMask`: [out, lse]. */
export function referenceGeneral(inputs: GeneralInputs, attrs: GeneralAttrs): Tensor[] {
  const mask = maskOf(inputs, attrs);
  return outAndLse(inputs, attrs, attentionScores(inputs, attrs, mask), mask);
}

/** referenceGeneralStats — the same, and [rowMax, entropy]: what a kernel for `evenkeel/attentionGeneralStats` returns. */
export function referenceGeneralStats(inputs: GeneralInputs, attrs: GeneralAttrs): Tensor[] {
  const mask = maskOf(inputs, attrs);
  const scores = attentionScores(inputs, attrs, mask); // b h t s
  return [...outAndLse(inputs, attrs, scores, mask), ...rowStatistics(scores, mask)];
}

function maskOf({ q, k, blockMask }: GeneralInputs, attrs: GeneralAttrs): ScoreMask | undefined {
  const sizes = { seqLen: q.shape[1] as number, kvLen: k.shape[1] as number };
  const mask = attentionMask(sizes.seqLen, sizes.kvLen, attrs);
  return blockMask === undefined ? scoreMask(mask) : blockwiseMask(blockMask, mask, { ...sizes, ...attrs });
}

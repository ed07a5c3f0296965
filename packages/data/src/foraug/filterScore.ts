import { checkInteger, checkRange, ConfigError } from '@evenkeel/core-tensor';

/** SegmentationVersion — what classifiers say of one way to cut an image: the probability of its class for the object and for the background alone; and the object's share of the area. */
export type SegmentationVersion = { readonly foregroundProbability: number; readonly backgroundProbability: number; readonly ratio: number };

/**
 * filterScore — how good one way to cut an image is: the object should be recognised, the background not, and the object be about a tenth of it.
 *
 *     log p_fg + log(1 − p_bg) + 2 log(1 − |ratio − 0.1|) + 0.1 log(1 − k/K)
 *
 * @param options  `version` k from 0, of `versions` K: earlier ones, of more specific prompts, are preferred.
 * @throws ConfigError  if a number is out of range.
 *
 * Source: arXiv:2503.09399, §3.1; constants as published with it.
 */
export function filterScore({ foregroundProbability, backgroundProbability, ratio }: SegmentationVersion, { version, versions }: { version: number; versions: number }): number {
  checkRange('filterScore', 'foregroundProbability', foregroundProbability, 0, 1);
  checkRange('filterScore', 'backgroundProbability', backgroundProbability, 0, 1);
  checkRange('filterScore', 'ratio', ratio, 0, 1);
  checkInteger('filterScore', 'versions', versions);
  checkRange('filterScore', 'version', version, 0, versions - 1);
  return Math.log(foregroundProbability) + Math.log(1 - backgroundProbability) + 2 * Math.log(1 - Math.abs(ratio - 0.1)) + 0.1 * Math.log(1 - version / versions);
}

/** bestVersion — the index of the version with the highest score; the first of equals. */
export function bestVersion(versions: readonly SegmentationVersion[]): number {
  if (versions.length === 0) throw new ConfigError('bestVersion: versions must be one or more, got none');
  const scores = versions.map((each, version) => filterScore(each, { version, versions: versions.length }));
  return scores.reduce((best, score, i) => (score > (scores[best] as number) ? i : best), 0);
}

import type { Detector } from '../detector.ts';
import { inWords } from '../words.ts';

/** Readings in a row that must be beyond the limit. */
const LASTS = 3;

/** outputLogitDrift — output logits that have moved away as a whole, which the softmax does not notice until it loses their differences. */
export const outputLogitDrift: Detector = (readings, { logPartition: limit }) => {
  const means = readings.map(({ values }) => values['logits.logPartition']?.[0] ?? NaN);
  if (means.length < LASTS || !means.slice(-LASTS).every((mean) => Math.abs(mean) > limit)) return [];
  const [first, last] = [means[0] as number, means.at(-1) as number];
  const since = readings[means.findLastIndex((mean) => !(Math.abs(mean) > limit)) + 1]!.step;
  return [{
    key: 'outputLogitDrift', kind: 'outputLogitDrift', where: 'logits',
    message: `The output logits drift: their log-partition is ${inWords(last)} on average, beyond ±${inWords(limit)} since step ${since}`
      + `${Number.isFinite(first) ? `; it was ${inWords(first)} in step ${readings[0]!.step}` : ''}. A z-loss keeps it near 0.`,
  }];
};

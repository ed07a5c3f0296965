import type { Reading } from '@evenkeel/core-tensor';
import type { Detector } from '../detector.ts';
import { inWords } from '../words.ts';

/** Readings that the running median is of, and how many there must be. */
const [SPAN, FEWEST] = [10, 5];
/** A spike is at least so many times the usual scatter of the losses. */
const SCATTERS = 8;
/** Readings for which the loss must have stayed high. */
const STAYS = 5;
/** Rise over the best loss that is no scatter: as a share of it, and of the way from the first loss down to it. */
const [RISE, WAY_BACK] = [0.3, 0.1];

/** lossSpike — the loss stands far above the median of the readings before it, or, while these are few, above where it began. */
export const lossSpike: Detector = (readings, { lossSpike: rise }) => {
  const before = readings.slice(0, -1).slice(-SPAN).map(({ loss }) => loss);
  const { loss, step } = readings.at(-1)!;
  if (before.length === 0 || !Number.isFinite(loss)) return []; // a step whose loss is not finite ends the run, which says so
  const isEarly = before.length < FEWEST;
  const usual = isEarly ? Math.max(...before) : medianOf(before);
  const scatter = isEarly ? 0 : 1.4826 * medianOf(before.map((each) => Math.abs(each - usual)));
  if (loss - usual <= Math.max(rise * Math.abs(usual), SCATTERS * scatter)) return [];
  const compared = isEarly ? `it was ${inWords(usual)} at most before` : `the median of the ${before.length} readings before is ${inWords(usual)}`;
  return [{ key: 'lossSpike', kind: 'lossSpike', message: `The loss jumped to ${inWords(loss)} in step ${step}; ${compared}.` }];
};

/** divergence — the loss has risen well above its best and stays there. */
export const divergence: Detector = (readings) => {
  if (readings.length < 2 * STAYS) return [];
  const late = readings.slice(-STAYS);
  const smooth = readings.slice(0, -STAYS).map((reading, i, all) => ({ ...reading, loss: medianOf(all.slice(Math.max(0, i - 2), i + 1).map(({ loss }) => loss)) }));
  const best = smooth.reduce((a, b) => (b.loss < a.loss ? b : a));
  const limit = best.loss + Math.max(RISE * Math.abs(best.loss), WAY_BACK * (readings[0]!.loss - best.loss));
  if (!late.every(({ loss }) => loss > limit)) return [];
  const since = sinceAbove(readings, limit);
  return [{
    key: 'divergence', kind: 'divergence',
    message: `The run has diverged: the loss was ${inWords(best.loss)} around step ${best.step} and has been above ${inWords(limit)} since step ${since}, now ${inWords(late.at(-1)!.loss)}.`,
  }];
};

/** The step since which the loss has been above a limit without interruption. */
function sinceAbove(readings: readonly Reading[], limit: number): number {
  const below = readings.findLastIndex(({ loss }) => loss <= limit);
  return readings[below + 1]!.step;
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

import type { Reading } from '@evenkeel/core-tensor';
import type { Detector } from '../detector.ts';
import { inWords } from '../words.ts';

/** Readings that the running median is of, and how many there must be. */
const [SPAN, FEWEST] = [10, 5];
/** A spike is at least so many times the usual scatter of the losses; while that is not known, so many times as high as else. */
const [SCATTERS, WHILE_UNKNOWN] = [8, 2];
/** Readings for which the loss must have stayed high. */
const STAYS = 5;
/** Rise over the best loss that counts: as a share of it, and of the way from the first loss down to it, and in times of the usual scatter. */
const [RISE, WAY_BACK, BEYOND_SCATTER] = [0.3, 0.1, 4];
/** Readings that the median is of by which the best loss is found. */
const SMOOTH = 5;

/** lossSpike — the loss stands far above the median of the readings before it, or, while these are few, above where it began. */
export const lossSpike: Detector = (readings, { lossSpike: rise }) => {
  const before = readings.slice(0, -1).slice(-SPAN).map(({ loss }) => loss);
  const { loss, step } = readings.at(-1)!;
  if (before.length === 0 || !Number.isFinite(loss)) return []; // a step whose loss is not finite ends the run, which says so
  const isEarly = before.length < FEWEST;
  const usual = isEarly ? Math.max(...before) : medianOf(before);
  const scatter = isEarly ? 0 : scatterOf(before.map((each) => each - usual));
  if (loss - usual <= Math.max((isEarly ? WHILE_UNKNOWN : 1) * rise * Math.abs(usual), SCATTERS * scatter)) return [];
  const compared = isEarly ? `it was ${inWords(usual)} at most before` : `the median of the ${before.length} readings before is ${inWords(usual)}`;
  return [{ key: 'lossSpike', kind: 'lossSpike', message: `The loss jumped to ${inWords(loss)} in step ${step}; ${compared}.` }];
};

/** divergence — the loss has risen well above its best and stays there. */
export const divergence: Detector = (readings) => {
  if (readings.length < 2 * STAYS) return [];
  const [earlier, late] = [readings.slice(0, -STAYS), readings.slice(-STAYS)];
  const smooth = earlier.map((reading, i) => ({ ...reading, loss: medianOf(earlier.slice(Math.max(0, i + 1 - SMOOTH), i + 1).map(({ loss }) => loss)) }));
  const best = smooth.reduce((a, b) => (b.loss < a.loss ? b : a));
  const scatter = scatterOf(earlier.map(({ loss }, i) => loss - smooth[i]!.loss));
  const limit = best.loss + Math.max(RISE * Math.abs(best.loss), WAY_BACK * (readings[0]!.loss - best.loss), BEYOND_SCATTER * scatter);
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

/** Standard deviation as far as most of them go: a few wild ones do not count. */
const scatterOf = (deviations: readonly number[]): number => 1.4826 * medianOf(deviations.map(Math.abs));

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

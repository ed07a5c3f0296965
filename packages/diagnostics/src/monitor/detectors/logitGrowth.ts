import type { Reading } from '@evenkeel/core-tensor';
import { fitLogLogQuadratic } from '../../fitting/fitLogLogQuadratic.ts';
import { fitPowerLaw } from '../../fitting/fitPowerLaw.ts';
import type { Point } from '../../fitting/point.ts';
import type { Alarm, Detector } from '../detector.ts';
import { inWords } from '../words.ts';

/** Readings that the growth is fitted to, and how many there must be. */
const [SPAN, FEWEST] = [12, 6];
/** Shares of the limit: below the first logits are no reason to worry, however they grow; below the second they have another law. */
const [WORRYING, GROWING] = [1 / 100, 1 / 1000];
/** How far ahead is looked: to so many times the present step. */
const HORIZON = 3;
/** Share of the growth that its law must explain. */
const R2 = 0.8;

/** logitGrowth — attention logits that have passed the limit, or will pass it if they go on as in the last readings. */
export const logitGrowth: Detector = (readings, { attentionLogit: limit }) => {
  const names = Object.keys(readings.at(-1)!.values).filter((name) => name.endsWith('.maxLogit'));
  return names.flatMap((name) => alarmOf(name, readings, limit));
};

function alarmOf(name: string, readings: readonly Reading[], limit: number): Alarm[] {
  const { step, values } = readings.at(-1)!;
  const perHead = values[name]!;
  const largest = largestOf(perHead);
  if (!(largest >= WORRYING * limit)) return [];
  const where = name.replace(/\.maxLogit$/, '');
  const head = perHead.indexOf(largest);
  if (largest >= limit) {
    return [{
      key: `logitGrowth reached ${name}`, kind: 'logitGrowth', where,
      message: `The largest attention logit of ${where} (head ${head}) has passed ${inWords(limit)}, where training breaks down: ${inWords(largest)} in step ${step}. Norms of queries and keys keep it bounded.`,
    }];
  }
  const predicted = predictedStep(readings.slice(-SPAN).flatMap((reading) => pointOf(reading, name, GROWING * limit)), { x: step, y: largest }, limit);
  if (predicted === undefined || predicted > HORIZON * step) return [];
  return [{
    key: `logitGrowth predicted ${name}`, kind: 'logitGrowth', where,
    message: `The largest attention logit of ${where} (head ${head}) is ${inWords(largest)} in step ${step} and grows: it will reach ${inWords(limit)}, where training breaks down, around step ${Math.max(step + 1, Math.round(predicted))}. `
      + 'Norms of queries and keys or a lower learning rate prevent it.',
  }];
}

function pointOf({ step, values }: Reading, name: string, atLeast: number): Point[] {
  const y = largestOf(values[name] ?? []);
  return y >= atLeast ? [{ x: step, y }] : [];
}

/** Of the finite ones: others are found by `nonFinite`. */
const largestOf = (perHead: readonly number[]): number => Math.max(...perHead.filter(Number.isFinite));

/** Where a power law of the steps reaches the limit from here; sooner where growth is speeding up, as a quadratic in the logarithms shows. */
function predictedStep(points: readonly Point[], here: Point, limit: number): number | undefined {
  if (points.length < FEWEST) return undefined;
  const { b, r2 } = fitPowerLaw(points);
  if (b >= 0 || r2 < R2) return undefined;
  const steady = here.x * (limit / here.y) ** (-1 / b);
  const { coefficients: [, , bend], reaches } = fitLogLogQuadratic(points);
  const sooner = bend > 0 ? reaches(limit) ?? Infinity : Infinity;
  return sooner > here.x ? Math.min(steady, sooner) : steady;
}

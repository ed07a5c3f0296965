import type { Reading } from '@evenkeel/core-tensor';
import type { Alarm, Detector } from '../detector.ts';
import { inPercent, listed } from '../words.ts';

/** Readings in a row in which a head must be collapsed. */
const LASTS = 2;

/** entropyCollapse — heads that have come to look at single keys, layer by layer. */
export const entropyCollapse: Detector = (readings, { entropy: limit }) => {
  const reading = readings.at(-1)!;
  return Object.keys(reading.values).filter((name) => name.endsWith('.entropy')).flatMap((name) => alarmOf(name, readings, limit));
};

function alarmOf(name: string, readings: readonly Reading[], limit: number): Alarm[] {
  const isCollapsed = (reading: Reading | undefined, head: number): boolean => (reading?.values[name]?.[head] ?? 1) < limit;
  const entropies = readings.at(-1)!.values[name]!;
  const heads = [...entropies.keys()].filter((head) => readings.slice(-LASTS).every((reading) => isCollapsed(reading, head)));
  if (heads.length === 0 || readings.length < LASTS) return [];
  const firsts = heads.map((head) => readings.findLastIndex((reading) => !isCollapsed(reading, head)) + 1);
  const since = Math.min(...firsts);
  const head = heads[firsts.indexOf(since)] as number;
  const was = readings[0]!.values[name]?.[head];
  const where = name.replace(/\.entropy$/, '');
  const few = heads.length === 1 ? `head ${heads[0]}` : heads.length === entropies.length ? `all ${heads.length} heads` : `heads ${listed(heads)}`;
  const began = since === 0 || was === undefined ? '' : ` (it was ${inPercent(was)} in step ${readings[0]!.step})`;
  return [{
    key: `entropyCollapse ${name}`, kind: 'entropyCollapse', where,
    message: `Attention has collapsed in ${where}, ${few}: since step ${readings[since]!.step} each query looks at hardly more than one key. `
      + `The entropy of head ${head} is ${inPercent(entropies[head] as number)} of what it could be${began}.`,
  }];
}

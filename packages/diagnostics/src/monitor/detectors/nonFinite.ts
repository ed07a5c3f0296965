import type { Detector } from '../detector.ts';

/** nonFinite — the first value of a reading, in the order of the model, that is NaN or infinite. (JSON turns both into null.) */
export const nonFinite: Detector = (readings) => {
  const { step, values } = readings.at(-1)!;
  const found = Object.entries(values).find(([, numbers]) => !numbers.every(Number.isFinite));
  if (found === undefined) return [];
  const where = found[0].replace(/\.(rms|maxLogit|entropy|logPartition)$/, '');
  return [{ key: 'nonFinite', kind: 'nonFinite', where, message: `${where} is no longer finite in step ${step}: it is the first value of the model that overflowed.` }];
};

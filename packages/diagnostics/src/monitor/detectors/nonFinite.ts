import type { Detector } from '../detector.ts';

/** nonFinite — the first value of a reading, in the order of the model, that is NaN or infinite. */
export const nonFinite: Detector = (readings) => {
  const { step, values } = readings.at(-1)!;
  const found = Object.entries(values).find(([, numbers]) => !numbers.every(Number.isFinite));
  if (found === undefined) return [];
  const where = found[0].replace(/\.(rms|maxLogit|entropy|logPartition)$/, '');
  return [{ key: 'nonFinite', kind: 'nonFinite', where, message: `${where} is not finite in step ${step}; of what is watched it is the first in the order of the model.` }];
};

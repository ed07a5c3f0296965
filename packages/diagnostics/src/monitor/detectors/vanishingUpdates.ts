import type { Reading } from '@evenkeel/core-tensor';
import type { Alarm, Detector } from '../detector.ts';
import { inWords } from '../words.ts';

/** Readings in a row in which a gradient must be that small. */
const LASTS = 3;
/** Updates shrink to 10/11 where the gradient is so many times eps. */
const NEAR = 10;
const GRADIENT = '.gradientRms';

/** vanishingUpdates — parameters whose gradients have come near the optimizer's eps, block by block; with an eps of 0, those that have none. */
export const vanishingUpdates: Detector = (readings, { eps }) => {
  const late = readings.slice(-LASTS);
  if (late.length < LASTS) return [];
  const names = Object.keys(readings.at(-1)!.values).filter((name) => name.endsWith(GRADIENT));
  const vanishing = names.filter((name) => late.every(({ values }) => (values[name]?.[0] ?? Infinity) <= NEAR * eps));
  return [...new Set(vanishing.map(blockOf))].map((where) => {
    const ofBlock = (list: readonly string[]): string[] => list.filter((name) => blockOf(name) === where);
    return alarmOf(where, ofBlock(vanishing), ofBlock(names).length, readings.at(-1)!, eps);
  });
};

/** `blocks.3` of `blocks.3.attn.qkv.weight`; outside the blocks the parameter itself. */
const blockOf = (name: string): string => /^(.*?blocks\.\d+)\./.exec(name)?.[1] ?? pathOf(name);

const pathOf = (name: string): string => name.slice(0, -GRADIENT.length);

function alarmOf(where: string, names: readonly string[], of: number, { step, values }: Reading, eps: number): Alarm {
  const smallest = names.reduce((a, b) => (values[b]![0]! < values[a]![0]! ? b : a));
  const gradient = values[smallest]![0] as number;
  const which = where === pathOf(smallest) ? where : `${names.length} of ${of} parameters of ${where}, the least ${pathOf(smallest)}`;
  const what = gradient === 0 ? 'no gradient at all'
    : `gradients of root mean square ${inWords(gradient)} in step ${step}, so near the optimizer's eps, ${inWords(eps)}, that steps are smaller`;
  return { key: `vanishingUpdates ${where}`, kind: 'vanishingUpdates', where, message: `Updates vanish: ${which}${where === pathOf(smallest) ? '' : ','} ${names.length === 1 ? 'gets' : 'get'} ${what}.` };
}

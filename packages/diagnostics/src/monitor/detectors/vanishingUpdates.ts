import type { Reading } from '@evenkeel/core-tensor';
import type { Alarm, Detector } from '../detector.ts';
import { inWords } from '../words.ts';

/** Readings in a row in which a gradient must be that small. */
const LASTS = 3;
/** Updates shrink to 10/11 where the gradient is so many times eps. */
const NEAR = 10;

/** vanishingUpdates — parameters whose gradients have come near the optimizer's eps, block by block. */
export const vanishingUpdates: Detector = (readings, { eps }) => {
  const late = readings.slice(-LASTS);
  if (late.length < LASTS) return [];
  const names = Object.keys(readings.at(-1)!.values).filter((name) => name.startsWith('rms.'));
  const vanishing = names.filter((name) => late.every(({ values }) => (values[name]?.[1] ?? Infinity) < NEAR * eps));
  return [...new Set(vanishing.map(blockOf))].map((where) => {
    const ofBlock = (list: readonly string[]): string[] => list.filter((name) => blockOf(name) === where);
    return alarmOf(where, ofBlock(vanishing), ofBlock(names).length, readings.at(-1)!, eps);
  });
};

/** `blocks.3` of `rms.blocks.3.attn.qkv.weight`; outside the blocks the parameter itself. */
const blockOf = (name: string): string => /^rms\.(.*?blocks\.\d+)\./.exec(name)?.[1] ?? name.slice('rms.'.length);

function alarmOf(where: string, names: readonly string[], of: number, { step, values }: Reading, eps: number): Alarm {
  const smallest = names.reduce((a, b) => (values[b]![1]! < values[a]![1]! ? b : a));
  const [, gradient] = values[smallest]!;
  const what = gradient === 0 ? 'get no gradient at all' : `get gradients near the optimizer's eps, ${inWords(eps)}, which make it take smaller steps`;
  const few = of === 1 ? where : `${names.length} of ${of} parameters of ${where}`;
  return {
    key: `vanishingUpdates ${where}`, kind: 'vanishingUpdates', where,
    message: `Updates vanish: ${few} ${of === 1 ? what.replace('get', 'gets').replace('make it', 'makes it') : what}. The smallest is ${smallest.slice('rms.'.length)}, ${inWords(gradient as number)} on average in step ${step}.`,
  };
}

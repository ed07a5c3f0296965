import { checkInteger, checkOneOf, checkRange, ConfigError, foldSeed, randomBits, uniformValues } from '@evenkeel/core-tensor';
import type { LabelledImages } from '../images/imageBatch.ts';
import { recombine, type Recombined, type RecombineOptions } from './recombine.ts';
import type { Background, Foreground, Pixels } from './segment.ts';

const BACKGROUNDS = ['all', 'same', 'original'] as const;
const MIXING = ['constant', 'linear', 'cosine'] as const;

export type ForAugOptions = RecombineOptions & {
  foregrounds: readonly Foreground[];
  /** Background i is what was behind foreground i; there may be more of them. All of one size. */
  backgrounds: readonly Background[];
  /** Which an object is pasted on: any (`all`, default), one of its class (`same`), or its own (`original`). */
  background?: (typeof BACKGROUNDS)[number];
  /** Backgrounds whose object had at least this share of the image are left out. Default 0.8. */
  pruning?: number;
  /** The untouched images from which the foregrounds are, which are mixed in. Default none. */
  originals?: readonly Pixels[];
  /** How often they are: `constant` with `probability`, or rising from never to always by `linear` or `cosine` (default) over `epochs`. */
  mixing?: (typeof MIXING)[number];
  probability?: number;
  epochs?: number;
};

export type ForAug = {
  /** As many as there are foregrounds: those of an epoch. */
  readonly count: number;
  /** One recombined image; or the original, whose `mask` and `box` are then absent. */
  sample(index: number, at: { epoch: number; seed: number }): (Recombined | (Pixels & { readonly label: number }));
  /** Several of them, for `imageBatch`. */
  batch(indices: ArrayLike<number>, at: { epoch: number; seed: number }): LabelledImages;
};

/**
 * forAug — images whose objects stand on other backgrounds, in other sizes and places, so that a model learns from the object.
 *
 * Each sample is a function of its index, the epoch and the seed. Other augmentations come after it.
 *
 * @throws ConfigError  if backgrounds differ in size, an object finds no background, or an option is out of range.
 *
 * Source: arXiv:2503.09399, §3.2.
 */
export function forAug(options: ForAugOptions): ForAug {
  const { foregrounds, backgrounds, originals, background = 'all', pruning = 0.8 } = options;
  checkForAug(options);
  const kept = backgrounds.filter(({ ratio }) => ratio < pruning);
  const byClass = new Map(foregrounds.map(({ label }) => [label, kept.filter((each) => each.label === label)]));
  const candidatesOf = (index: number): readonly Background[] => {
    if (background === 'original') return backgrounds[index] === undefined ? [] : [backgrounds[index]];
    return background === 'all' ? kept : byClass.get((foregrounds[index] as Foreground).label) ?? [];
  };
  foregrounds.forEach(({ label }, i) => {
    if (candidatesOf(i).length === 0) throw new ConfigError(`forAug: backgrounds must have one for each foreground (${background}, ratio below ${pruning}), got none for foreground ${i} of class ${label}`);
  });
  const sample: ForAug['sample'] = (index, { epoch, seed }) => {
    checkRange('sample', 'index', index, 0, foregrounds.length - 1);
    const own = foldSeed(seed, 'forAug', epoch, index);
    const foreground = foregrounds[index] as Foreground;
    const original = originals?.[index];
    if (original !== undefined && (uniformValues(1, foldSeed(own, 'original'))[0] as number) < originalProbability(options, epoch)) return { ...original, label: foreground.label };
    const candidates = candidatesOf(index);
    const chosen = candidates[(randomBits(foldSeed(own, 'background'), 1)[0] as number) % candidates.length] as Background;
    return recombine(foreground, chosen, options, foldSeed(own, 'recombine'));
  };
  return {
    count: foregrounds.length,
    sample,
    batch: (indices, at) => {
      const samples = Array.from(indices, (index) => sample(index, at));
      const [height, width, channels] = (samples[0] as Pixels).shape;
      const images = new Uint8Array(samples.length * height * width * channels);
      samples.forEach(({ pixels }, i) => images.set(pixels, i * pixels.length));
      return { shape: [samples.length, height, width, channels], images, labels: samples.map(({ label }) => label) };
    },
  };
}

/** originalProbability — how likely an untouched image is in an epoch, counted from 0. */
export function originalProbability({ mixing = 'cosine', probability = 0, epochs = 1 }: Pick<ForAugOptions, 'mixing' | 'probability' | 'epochs'>, epoch: number): number {
  checkOneOf('originalProbability', 'mixing', mixing, MIXING);
  if (mixing === 'constant') return probability;
  const part = Math.min(1, epoch / epochs);
  return mixing === 'linear' ? part : 1 - Math.cos((Math.PI * part) / 2);
}

function checkForAug({ foregrounds, backgrounds, originals, background = 'all', pruning = 0.8, mixing = 'cosine', probability = 0, epochs = 1 }: ForAugOptions): void {
  checkOneOf('forAug', 'background', background, BACKGROUNDS);
  checkOneOf('forAug', 'mixing', mixing, MIXING);
  checkRange('forAug', 'pruning', pruning, 0, Number.MAX_VALUE);
  checkRange('forAug', 'probability', probability, 0, 1);
  checkInteger('forAug', 'epochs', epochs);
  if (foregrounds.length === 0) throw new ConfigError('forAug: foregrounds must be one or more, got none');
  if (originals !== undefined && originals.length !== foregrounds.length) throw new ConfigError(`forAug: originals must be ${foregrounds.length}, one per foreground, got ${originals.length}`);
  const [first] = backgrounds;
  const other = [...backgrounds, ...(originals ?? [])].find(({ shape }) => shape.join() !== first?.shape.join());
  if (other !== undefined) throw new ConfigError(`forAug: backgrounds and originals must be of one size, got ${first?.shape.join(' × ')} and ${other.shape.join(' × ')}`);
}

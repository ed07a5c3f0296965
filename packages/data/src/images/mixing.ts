import { checkFunction, checkPositive, ConfigError, foldSeed, uniformValues } from '@evenkeel/core-tensor';
import { betaValue } from './beta.ts';
import type { Augmentation, ImageBatch } from './imageBatch.ts';

/** MixOptions — `alpha`: of the Beta distribution from which the share is drawn. */
export type MixOptions = { alpha?: number };

/**
 * mixup — each image and its targets mixed with those of another one of the batch, in a share that is drawn per batch.
 *
 *     x′_i = λ x_i + (1 − λ) x_j,  y′_i = λ y_i + (1 − λ) y_j        λ ~ Beta(alpha, alpha),  j = b − 1 − i
 *
 * @param options  `alpha` (default 0.8, as in DeiT).
 * @throws ConfigError  if `alpha` is not positive.
 *
 * Source: Zhang et al. 2017, arXiv:1710.09412, §2. The partner is the batch read backwards, as timm has it: batches come shuffled.
 */
export function mixup({ alpha = 0.8 }: MixOptions = {}): Augmentation {
  checkPositive('mixup', 'alpha', alpha);
  return (batch, seed) => {
    const share = betaValue(alpha, foldSeed(seed, 'mixup'));
    return { ...batch, images: mixedWithReverse(batch.images, batch.shape[0], share), targets: mixedWithReverse(batch.targets, batch.shape[0], share) };
  };
}

/**
 * cutMix — one rectangle of each image replaced by that of another one of the batch, and the targets mixed by area.
 *
 * The rectangle has (1 − λ) of the area and the image's aspect, at a random centre, cut off at the borders; λ ~ Beta(alpha, alpha) is then
 * the share that is left in fact. Partners are as in `mixup`.
 *
 * @param options  `alpha` (default 1).
 * @throws ConfigError  if `alpha` is not positive.
 *
 * Source: Yun et al. 2019, arXiv:1905.04899, §3.1.
 */
export function cutMix({ alpha = 1 }: MixOptions = {}): Augmentation {
  checkPositive('cutMix', 'alpha', alpha);
  return (batch, seed) => {
    const [count, height, width, channels] = batch.shape;
    const box = rectangle(batch, betaValue(alpha, foldSeed(seed, 'cutMix')), foldSeed(seed, 'place'));
    const images = batch.images.slice();
    for (let b = 0; b < count; b++) {
      for (let y = box.top; y < box.bottom; y++) {
        const [to, from] = [b, count - 1 - b].map((image) => ((image * height + y) * width + box.left) * channels) as [number, number];
        images.set(batch.images.subarray(from, from + (box.right - box.left) * channels), to);
      }
    }
    const left = 1 - ((box.bottom - box.top) * (box.right - box.left)) / (height * width);
    return { ...batch, images, targets: mixedWithReverse(batch.targets, count, left) };
  };
}

/**
 * oneOf — one of several augmentations for each batch, each as likely as its weight says (default: all alike).
 * DeiT's: `oneOf([mixup(), cutMix()])`.
 *
 * @throws ConfigError  if there is none, or weights do not fit.
 */
export function oneOf(choices: readonly Augmentation[], weights: readonly number[] = choices.map(() => 1)): Augmentation {
  if (choices.length === 0 || choices.length !== weights.length) throw new ConfigError(`oneOf: choices must be one or more with a weight for each, got ${choices.length} and ${weights.length}`);
  choices.forEach((choice) => checkFunction('oneOf', 'choices', choice, 'mixup()'));
  weights.forEach((weight) => checkPositive('oneOf', 'weights', weight));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return (batch, seed) => {
    let left = (uniformValues(1, foldSeed(seed, 'oneOf'))[0] as number) * total;
    const chosen = weights.findIndex((weight) => (left -= weight) < 0);
    return (choices.at(chosen) as Augmentation)(batch, foldSeed(seed, 'chosen'));
  };
}

/** `share` of each row and the rest of the row that is as far from the end. */
function mixedWithReverse(rows: Float32Array, count: number, share: number): Float32Array {
  const size = rows.length / count;
  const mixed = new Float32Array(rows.length);
  for (let b = 0; b < count; b++) {
    const other = (count - 1 - b) * size;
    for (let i = 0; i < size; i++) mixed[b * size + i] = share * (rows[b * size + i] as number) + (1 - share) * (rows[other + i] as number);
  }
  return mixed;
}

function rectangle({ shape: [, height, width] }: ImageBatch, share: number, seed: number): { top: number; bottom: number; left: number; right: number } {
  const side = Math.sqrt(1 - share);
  const [cutHeight, cutWidth] = [Math.floor(height * side), Math.floor(width * side)];
  const [u, v] = uniformValues(2, seed) as unknown as [number, number];
  const [top, left] = [Math.floor(u * height) - (cutHeight >> 1), Math.floor(v * width) - (cutWidth >> 1)];
  const within = (value: number, size: number): number => Math.min(Math.max(value, 0), size);
  return { top: within(top, height), bottom: within(top + cutHeight, height), left: within(left, width), right: within(left + cutWidth, width) };
}

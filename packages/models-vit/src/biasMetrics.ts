import { checkPositive, checkRange, ConfigError, describeShape, ShapeError, valueAndGrad } from '@evenkeel/core-tensor';
import { abs, dispose, mul, sum, tidy, type Tensor, type Tensor3D, type Tensor4D } from '@tensorflow/tfjs-core';
import { targetCrossEntropy } from './targetCrossEntropy.ts';

/**
 * backgroundRobustness — accuracy on objects before any background by that before backgrounds of their own class: 1 where the background is no matter.
 *
 * @throws ConfigError  if an accuracy is not from 0 to 1, or the second is 0.
 *
 * Source of all four metrics: arXiv:2503.09399, §3.3.
 */
export function backgroundRobustness({ all, same }: { all: number; same: number }): number {
  checkRange('backgroundRobustness', 'all', all, 0, 1);
  checkAccuracy('backgroundRobustness', 'same', same);
  return all / same;
}

/**
 * centerBias — how much worse a model is where objects stand at the border: 0 for not at all.
 *
 *     1 − (min of the 4 corners + min of the 4 sides) / (2 · middle)
 *
 * @param accuracies  nine, of a 3 × 3 grid, row by row: those of `recombine({ nonant })`.
 * @throws ConfigError  if there are not nine from 0 to 1, or that in the middle is 0.
 */
export function centerBias(accuracies: readonly number[]): number {
  if (accuracies.length !== 9) throw new ConfigError(`centerBias: accuracies must be 9, of a 3 × 3 grid, got ${accuracies.length}`);
  accuracies.forEach((each) => checkRange('centerBias', 'accuracies', each, 0, 1));
  const middle = accuracies[4] as number;
  checkAccuracy('centerBias', 'the accuracy in the middle', middle);
  const least = (cells: readonly number[]): number => Math.min(...cells.map((cell) => accuracies[cell] as number));
  return 1 - (least([0, 2, 6, 8]) + least([1, 3, 5, 7])) / (2 * middle);
}

/**
 * sizeBias — accuracy at each size of the object by that at its usual size: all 1 where size is no matter.
 *
 * @param accuracies  by size factor (see `recombine({ sizeFactor })`); one must be of the factor 1.
 * @throws ConfigError  if there is none, or it is 0.
 */
export function sizeBias(accuracies: readonly { readonly sizeFactor: number; readonly accuracy: number }[]): { sizeFactor: number; ratio: number }[] {
  accuracies.forEach(({ sizeFactor, accuracy }) => {
    checkPositive('sizeBias', 'sizeFactor', sizeFactor);
    checkRange('sizeBias', 'accuracy', accuracy, 0, 1);
  });
  const usual = accuracies.find(({ sizeFactor }) => sizeFactor === 1)?.accuracy;
  if (usual === undefined) throw new ConfigError(`sizeBias: accuracies must have one of sizeFactor 1, got ${accuracies.map(({ sizeFactor }) => sizeFactor).join(', ') || 'none'}`);
  checkAccuracy('sizeBias', 'the accuracy at sizeFactor 1', usual);
  return accuracies.map(({ sizeFactor, accuracy }) => ({ sizeFactor, ratio: accuracy / usual }));
}

/**
 * foregroundFocus — how much more a model looks at objects than their size says: 1 for importance spread evenly, more for a look at the object.
 *
 *     mean over images of (area / area of the object) · (importance of the object / importance)
 *
 * @param importance  `b h w`, not negative, of each pixel: of `inputTimesGradient`, say. Images without any importance are left out.
 * @param masks       `b h w`, from 0 to 255: how much each pixel belongs to the object (`recombine` gives them).
 * @returns           NaN if no image counts.
 * @throws ShapeError   if they are not of one size, of `count` images. ConfigError if an image has no object or importance is negative; names the image.
 */
export function foregroundFocus(importance: ArrayLike<number>, masks: ArrayLike<number>, { count }: { count: number }): number {
  if (importance.length !== masks.length || importance.length % count !== 0) {
    throw new ShapeError(`foregroundFocus: importance and masks must be of one size for ${count} images, got ${importance.length} and ${masks.length} values`);
  }
  const size = importance.length / count;
  const ratios: number[] = [];
  for (let b = 0; b < count; b++) {
    let [area, onObject, total] = [0, 0, 0];
    for (let i = b * size; i < (b + 1) * size; i++) {
      const [weight, value] = [(masks[i] as number) / 255, importance[i] as number];
      if (!(value >= 0)) throw new ConfigError(`foregroundFocus: importance must not be negative, got ${value} in image ${b}`);
      [area, onObject, total] = [area + weight, onObject + weight * value, total + value];
    }
    if (area === 0) throw new ConfigError(`foregroundFocus: masks must hold an object in each image, got none in image ${b}`);
    if (total > 0) ratios.push((size / area) * (onObject / total));
  }
  return ratios.reduce((sum, each) => sum + each, 0) / ratios.length;
}

/**
 * inputTimesGradient — how important each pixel is for what a model says of the target: |pixel · gradient|, added up over its channels.
 *
 * @param logitsOf  images `b h w c` to logits `b n`: `(images) => model.apply(images, params)`.
 * @param targets   `b` — int32 classes.
 * @returns         `b h w`, owned by the caller.
 */
export function inputTimesGradient(logitsOf: (images: Tensor4D) => Tensor, images: Tensor4D, targets: Tensor): Tensor3D {
  if (targets.shape[0] !== images.shape[0]) throw new ShapeError(`inputTimesGradient: targets must have shape ${describeShape([images.shape[0]])}, got ${describeShape(targets.shape)}`);
  return tidy('inputTimesGradient', () => {
    const { value, grads } = valueAndGrad((p: { images: Tensor4D }) => targetCrossEntropy(logitsOf(p.images), targets), { images });
    dispose(value);
    return sum(abs(mul(images, grads.images)), 3) as Tensor3D;
  });
}

function checkAccuracy(fn: string, arg: string, accuracy: number): void {
  checkPositive(fn, arg, accuracy);
  checkRange(fn, arg, accuracy, 0, 1);
}

import { checkInteger, checkOneOf, checkRange, ConfigError, foldSeed, normalValues, randomBits } from '@evenkeel/core-tensor';
import { eachImage, type Augmentation } from './imageBatch.ts';
import { IMAGE_OPERATIONS, type ImageOperation, type ImageOperationName } from './imageOperations.ts';

export type RandAugmentOptions = {
  /** Operations per image, drawn with repetition. Default 2. */
  operations?: number;
  /** How strongly, from 0 to 10. Default 9. */
  magnitude?: number;
  /** Standard deviation of the magnitude from operation to operation. Default 0.5. */
  magnitudeStd?: number;
  /** The operations to draw from. Default all. */
  from?: readonly ImageOperationName[];
};

/**
 * randAugment — a few random operations on each image: colours, contrast, shears, rotations and the like, all of one strength.
 *
 * @throws ConfigError  if a number is out of range or an operation is unknown.
 *
 * Source: Cubuk et al. 2019, arXiv:1909.13719, §3; strengths and `magnitudeStd` as in timm's `rand-m9-mstd0.5-inc1`, without its "solarize add".
 */
export function randAugment({ operations = 2, magnitude = 9, magnitudeStd = 0.5, from = Object.keys(IMAGE_OPERATIONS) as ImageOperationName[] }: RandAugmentOptions = {}): Augmentation {
  checkInteger('randAugment', 'operations', operations, 0);
  checkRange('randAugment', 'magnitude', magnitude, 0, 10);
  checkRange('randAugment', 'magnitudeStd', magnitudeStd, 0, 10);
  if (from.length === 0) throw new ConfigError('randAugment: from must name an operation or more, got none');
  from.forEach((name) => checkOneOf('randAugment', 'from', name, Object.keys(IMAGE_OPERATIONS) as ImageOperationName[]));
  return (batch, seed) => {
    const [count, ...size] = batch.shape;
    const bits = randomBits(foldSeed(seed, 'randAugment'), 2 * count * operations);
    const noise = normalValues(count * operations, foldSeed(seed, 'magnitude'));
    return eachImage(batch, (image, b) => {
      let current = image;
      for (let k = b * operations; k < (b + 1) * operations; k++) {
        const operation: ImageOperation = IMAGE_OPERATIONS[from[(bits[2 * k] as number) % from.length] as ImageOperationName];
        const level = Math.min(10, Math.max(0, magnitude + magnitudeStd * (noise[k] as number))) / 10;
        current = operation(current, size, level, ((bits[2 * k + 1] as number) & 1) === 0 ? 1 : -1);
      }
      return current;
    });
  };
}

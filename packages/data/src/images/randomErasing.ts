import { checkPositive, checkRange, ConfigError, foldSeed, normalValues, uniformValues } from '@evenkeel/core-tensor';
import { eachImage, type Augmentation, type ImageShape } from './imageBatch.ts';

export type RandomErasingOptions = {
  /** How likely each image loses a rectangle. Default 0.25. */
  probability?: number;
  /** Share of the image, smallest and largest. Default [0.02, 1/3]. */
  area?: readonly [number, number];
  /** Smallest ratio of height to width; the largest is its inverse. Default 0.3. */
  aspect?: number;
  /** What stands there instead: `noise` from N(0, 1) for each value (default, for images already normalised), or a number. */
  fill?: 'noise' | number;
};

/**
 * randomErasing — a rectangle of random size, shape and place erased in some images. Comes after `normaliseImages`.
 *
 * @throws ConfigError  if an option is out of range.
 *
 * Source: Zhong et al. 2017, arXiv:1708.04896, algorithm 1; a rectangle that does not fit is drawn anew, at most ten times.
 */
export function randomErasing({ probability = 0.25, area = [0.02, 1 / 3], aspect = 0.3, fill = 'noise' }: RandomErasingOptions = {}): Augmentation {
  checkRange('randomErasing', 'probability', probability, 0, 1);
  checkPositive('randomErasing', 'area', area[0]);
  checkRange('randomErasing', 'area', area[1], area[0], 1);
  checkPositive('randomErasing', 'aspect', aspect);
  if (fill !== 'noise' && !Number.isFinite(fill)) throw new ConfigError(`randomErasing: fill must be noise or a number, got ${String(fill)}`);
  return (batch, seed) => {
    const draws = uniformValues(batch.shape[0], foldSeed(seed, 'erase'));
    return eachImage(batch, (image, b) => {
      if ((draws[b] as number) < probability) erase(image, batch.shape, { area, aspect, fill, seed: foldSeed(seed, 'rectangle', b) });
    });
  };
}

type Erasing = Required<Pick<RandomErasingOptions, 'area' | 'aspect' | 'fill'>> & { seed: number };

function erase(image: Float32Array, [, height, width, channels]: ImageShape, { area, aspect, fill, seed }: Erasing): void {
  for (let attempt = 0; attempt < 10; attempt++) {
    const [ofArea, ofAspect, ofTop, ofLeft] = uniformValues(4, foldSeed(seed, attempt)) as unknown as [number, number, number, number];
    const target = height * width * (area[0] + ofArea * (area[1] - area[0]));
    const ratio = Math.exp((2 * ofAspect - 1) * -Math.log(aspect));
    const [tall, wide] = [Math.round(Math.sqrt(target * ratio)), Math.round(Math.sqrt(target / ratio))];
    if (tall >= height || wide >= width) continue;
    const [top, left] = [Math.floor(ofTop * (height - tall + 1)), Math.floor(ofLeft * (width - wide + 1))];
    const noise = fill === 'noise' ? normalValues(tall * wide * channels, foldSeed(seed, 'noise')) : undefined;
    for (let y = 0; y < tall; y++) {
      const start = ((top + y) * width + left) * channels;
      for (let i = 0; i < wide * channels; i++) image[start + i] = noise === undefined ? (fill as number) : (noise[y * wide * channels + i] as number);
    }
    return;
  }
}

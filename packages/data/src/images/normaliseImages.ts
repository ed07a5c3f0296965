import { checkPositive, ConfigError } from '@evenkeel/core-tensor';
import { eachImage, type Augmentation, type ImageBatch } from './imageBatch.ts';
import type { ImageSource } from './imageSource.ts';

/** NormaliseOptions — of each channel, in the unit of the images (0 to 1). */
export type NormaliseOptions = { mean: readonly number[]; std: readonly number[] };

/**
 * normaliseImages — (value − mean) / std for each channel. It comes last: other augmentations want values from 0 to 1.
 *
 * @throws ConfigError  if a std is not positive, or (when called) images have other channels.
 */
export function normaliseImages({ mean, std }: NormaliseOptions): Augmentation {
  std.forEach((each) => checkPositive('normaliseImages', 'std', each));
  if (mean.length !== std.length) throw new ConfigError(`normaliseImages: mean and std must have one number per channel, got ${mean.length} and ${std.length}`);
  return (batch) => {
    const channels = batch.shape[3];
    if (channels !== mean.length) throw new ConfigError(`normaliseImages: images must have ${mean.length} channels, got ${channels}`);
    return eachImage(batch, (image) => {
      for (let i = 0; i < image.length; i++) image[i] = ((image[i] as number) - (mean[i % channels] as number)) / (std[i % channels] as number);
    });
  };
}

/** channelStatistics — mean and standard deviation of each channel over all images, for `normaliseImages`. */
export function channelStatistics({ shape, images }: Pick<ImageBatch, 'shape' | 'images'>): { mean: number[]; std: number[] } {
  const channels = shape[3];
  const [sums, squares] = [new Float64Array(channels), new Float64Array(channels)];
  images.forEach((value, i) => {
    const c = i % channels;
    sums[c] = (sums[c] as number) + value;
    squares[c] = (squares[c] as number) + value * value;
  });
  const count = images.length / channels;
  const mean = Array.from(sums, (sum) => sum / count);
  return { mean, std: Array.from(squares, (square, c) => Math.sqrt(Math.max(0, square / count - (mean[c] as number) ** 2))) };
}

/** Images that `sourceStatistics` reads at a time. */
const CHUNK = 256;

/**
 * sourceStatistics — the same of a source, a few images at a time, each of which is read once: so one that cannot be read is found now and not
 * in the middle of a training run. A channel that is the same everywhere has the deviation 1.
 */
export async function sourceStatistics({ shape: [height, width, channels], labels, read }: ImageSource): Promise<{ mean: number[]; std: number[] }> {
  const [sums, squares] = [new Float64Array(channels), new Float64Array(channels)];
  for (let start = 0; start < labels.length; start += CHUNK) {
    const bytes = await read(Uint32Array.from({ length: Math.min(CHUNK, labels.length - start) }, (_, i) => start + i));
    for (let i = 0; i < bytes.length; i++) {
      const [c, value] = [i % channels, (bytes[i] as number) / 255];
      sums[c] = (sums[c] as number) + value;
      squares[c] = (squares[c] as number) + value * value;
    }
  }
  const count = labels.length * height * width;
  const mean = Array.from(sums, (sum) => sum / count);
  return { mean, std: Array.from(squares, (square, c) => Math.sqrt(Math.max(0, square / count - (mean[c] as number) ** 2)) || 1) };
}

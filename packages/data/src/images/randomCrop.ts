import { checkInteger, foldSeed, randomBits } from '@evenkeel/core-tensor';
import { eachImage, type Augmentation } from './imageBatch.ts';

/** RandomCropOptions — `padding`: pixels added on each side before cropping, default 4; `fill`: their value, default 0. */
export type RandomCropOptions = { padding?: number; fill?: number };

/**
 * randomCrop — each image moved by up to `padding` pixels in both directions: padded on all sides, and cut out again at a random place.
 *
 * @throws ConfigError  if `padding` is not an integer ≥ 0.
 */
export function randomCrop({ padding = 4, fill = 0 }: RandomCropOptions = {}): Augmentation {
  checkInteger('randomCrop', 'padding', padding, 0);
  return (batch, seed) => {
    const [count, height, width, channels] = batch.shape;
    const bits = randomBits(foldSeed(seed, 'crop'), 2 * count);
    const places = 2 * padding + 1;
    return eachImage(batch, (image, b) => {
      const [down, right] = [((bits[2 * b] as number) % places) - padding, ((bits[2 * b + 1] as number) % places) - padding];
      const moved = new Float32Array(image.length).fill(fill);
      for (let y = Math.max(0, -down); y < Math.min(height, height - down); y++) {
        const first = Math.max(0, -right);
        const length = width - Math.abs(right);
        const from = ((y + down) * width + first + right) * channels;
        moved.set(image.subarray(from, from + length * channels), (y * width + first) * channels);
      }
      return moved;
    });
  };
}

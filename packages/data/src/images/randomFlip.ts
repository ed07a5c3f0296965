import { checkRange, foldSeed, uniformValues } from '@evenkeel/core-tensor';
import { eachImage, type Augmentation } from './imageBatch.ts';

/** randomFlip — left and right exchanged in each image with `probability` (default 0.5). */
export function randomFlip({ probability = 0.5 }: { probability?: number } = {}): Augmentation {
  checkRange('randomFlip', 'probability', probability, 0, 1);
  return (batch, seed) => {
    const [count, , width, channels] = batch.shape;
    const draws = uniformValues(count, foldSeed(seed, 'flip'));
    return eachImage(batch, (image, b) => ((draws[b] as number) < probability ? flipped(image, width, channels) : image));
  };
}

function flipped(image: Float32Array, width: number, channels: number): Float32Array {
  const other = new Float32Array(image.length);
  for (let pixel = 0; pixel < image.length / channels; pixel++) {
    const column = pixel % width;
    const from = (pixel - column + (width - 1 - column)) * channels;
    for (let c = 0; c < channels; c++) other[pixel * channels + c] = image[from + c] as number;
  }
  return other;
}

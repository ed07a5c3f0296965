import { checkInteger } from '@evenkeel/core-tensor';
import type { ImageSource } from './imageSource.ts';

/**
 * resizeImages — a source whose images are scaled to another size, each by a triangle filter that is as wide as the scale asks for, so that
 * nothing aliases where they become smaller. The aspect is not kept.
 *
 * @throws ConfigError  if a size is no integer ≥ 1.
 */
export function resizeImages(source: ImageSource, { height, width }: { height: number; width: number }): ImageSource {
  checkInteger('resizeImages', 'height', height);
  checkInteger('resizeImages', 'width', width);
  const [fromHeight, fromWidth, channels] = source.shape;
  if (fromHeight === height && fromWidth === width) return source;
  const [rows, columns] = [taps(fromHeight, height), taps(fromWidth, width)];
  return {
    ...source,
    shape: [height, width, channels],
    read: async (indices) => {
      const bytes = await source.read(indices);
      const size = fromHeight * fromWidth * channels;
      const resized = new Uint8Array(indices.length * height * width * channels);
      for (let b = 0; b < indices.length; b++) {
        const wide = along(bytes.subarray(b * size, (b + 1) * size), { lines: fromHeight, step: fromWidth * channels, stride: channels, width: channels }, columns);
        const both = along(wide, { lines: 1, step: 0, stride: width * channels, width: width * channels }, rows);
        for (let i = 0; i < both.length; i++) resized[b * both.length + i] = Math.round(both[i] as number);
      }
      return resized;
    },
  };
}

type Taps = readonly { readonly first: number; readonly weights: readonly number[] }[];

/** Which of `from` places make up each of `to`, and in which shares. */
function taps(from: number, to: number): Taps {
  const scale = from / to;
  const reach = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale - 0.5;
    const [first, last] = [Math.max(0, Math.ceil(centre - reach)), Math.min(from - 1, Math.floor(centre + reach))];
    const weights = Array.from({ length: last - first + 1 }, (__, k) => Math.max(0, 1 - Math.abs(first + k - centre) / reach));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** `lines` of places `stride` apart, each a run of `width` values, filtered to as many places as there are taps. */
function along(values: ArrayLike<number>, { lines, step, stride, width }: { lines: number; step: number; stride: number; width: number }, filter: Taps): Float32Array {
  const result = new Float32Array(lines * filter.length * width);
  for (let line = 0; line < lines; line++) {
    filter.forEach(({ first, weights }, to) => {
      for (let i = 0; i < width; i++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += (weights[k] as number) * (values[line * step + (first + k) * stride + i] as number);
        result[(line * filter.length + to) * width + i] = sum;
      }
    });
  }
  return result;
}

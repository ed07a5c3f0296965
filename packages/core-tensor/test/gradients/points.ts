import { tensor, type Tensor } from '@tensorflow/tfjs-core';
import { randomArray } from '@evenkeel/testing';

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const make = (shape: readonly number[], seed: number, f: (value: number, index: number) => number): Tensor =>
  tensor(randomArray(sizeOf(shape), { seed }).map(f), [...shape], 'float32');

/** normal — N(0, 1). */
export const normal = (shape: readonly number[], seed = 1): Tensor => make(shape, seed, (value) => value);

/** awayFromZero — at least 0.2 from the kink at 0, on both sides. */
export const awayFromZero = (shape: readonly number[], seed = 1): Tensor => make(shape, seed, (value) => Math.sign(value) * (0.2 + Math.abs(value)));

/** positive — at least 0.8, where logarithms and quotients bend gently. */
export const positive = (shape: readonly number[], seed = 1): Tensor => make(shape, seed, (value) => 0.8 + Math.abs(value));

/** between — within (low, high), spread evenly. */
export const between = (shape: readonly number[], low: number, high: number, seed = 1): Tensor =>
  make(shape, seed, (value) => low + (high - low) * (0.5 + Math.atan(value) / Math.PI));

/** distinct — no two values closer than 0.25, in random order: no ties, no kinks within reach of a difference. */
export function distinct(shape: readonly number[], seed = 1): Tensor {
  const keys = randomArray(sizeOf(shape), { seed });
  const rank = Array.from(keys, (_, i) => i).sort((i, j) => (keys[i] as number) - (keys[j] as number));
  const values = new Float32Array(keys.length);
  rank.forEach((index, place) => { values[index] = (place - keys.length / 2) * 0.25 + 0.1; });
  return tensor(values, [...shape]);
}

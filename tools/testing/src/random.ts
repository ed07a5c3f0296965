import { tensor, type Rank, type ShapeMap, type Tensor } from '@tensorflow/tfjs-core';

export type RandomArrayOptions = {
  seed?: number;
  /** Standard deviation; default 1. */
  std?: number;
  mean?: number;
};

/** randomArray — seeded normal numbers, rounded to float32 so that a float64 oracle sees exactly what the device sees. */
export function randomArray(length: number, { seed = 1, std = 1, mean = 0 }: RandomArrayOptions = {}): Float32Array {
  const next = uniform(seed);
  return Float32Array.from({ length }, () => mean + std * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
}

/** randomIntegers — seeded integers in [0, limit). */
export function randomIntegers(length: number, limit: number, seed = 1): Int32Array {
  const next = uniform(seed);
  return Int32Array.from({ length }, () => Math.floor(next() * limit));
}

/** randomTensor — `randomArray` in a shape, on the current backend. */
export function randomTensor<R extends Rank>(shape: ShapeMap[R], options: RandomArrayOptions = {}): Tensor<R> {
  return tensor(randomArray(shape.reduce((size, length) => size * length, 1), options), shape, 'float32');
}

/** Uniform numbers in [0, 1): splitmix32, good enough for test data and independent of the library under test. */
function uniform(seed: number): () => number {
  let state = Math.imul(seed | 0, 0x9e3779b9) ^ 0x243f6a88;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let bits = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
  };
}

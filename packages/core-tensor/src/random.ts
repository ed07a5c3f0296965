import { tensor, type Tensor } from '@tensorflow/tfjs-core';
import { checkPositive } from './check.ts';
import { foldSeed, randomBits, type Seed } from './seed.ts';

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Uniform in (0, 1), 24 bits: exact in float32, never 0 and never 1. */
const unit = (bits: number): number => ((bits >>> 8) + 0.5) / 2 ** 24;

/** uniformValues — `count` numbers in [min, max), the same on every backend. */
export function uniformValues(count: number, seed: Seed, min = 0, max = 1): Float32Array {
  return Float32Array.from(randomBits(seed, count), (bits) => {
    const value = Math.fround(min + (max - min) * ((bits >>> 8) / 2 ** 24));
    return value < max ? value : min; // float32 may round the largest draw up to max
  });
}

/** normalValues — `count` numbers from N(0, 1) by the Box–Muller transform. */
export function normalValues(count: number, seed: Seed): Float32Array {
  const bits = randomBits(seed, count + (count & 1));
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(unit(bits[i] as number)));
    const angle = 2 * Math.PI * unit(bits[i + 1] as number);
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

/** truncatedNormalValues — like `normalValues`, redrawn while outside ±2 (so the standard deviation is 0.8796). */
export function truncatedNormalValues(count: number, seed: Seed): Float32Array {
  const values = normalValues(count, seed);
  for (let round = 1; ; round++) {
    const outside: number[] = [];
    values.forEach((value, i) => { if (Math.abs(value) > 2) outside.push(i); });
    if (outside.length === 0) return values;
    const redrawn = normalValues(outside.length, foldSeed(seed, 'truncated', round));
    outside.forEach((index, i) => { values[index] = redrawn[i] as number; });
  }
}

/** randomUniform — a float32 tensor, uniform in [min, max); identical on every backend. */
export function randomUniform(shape: readonly number[], { seed, min = 0, max = 1 }: { seed: Seed; min?: number; max?: number }): Tensor {
  return tensor(uniformValues(sizeOf(shape), seed, min, max), [...shape], 'float32');
}

/** randomNormal — a float32 tensor from N(mean, std²); identical on every backend. */
export function randomNormal(shape: readonly number[], { seed, mean = 0, std = 1 }: { seed: Seed; mean?: number; std?: number }): Tensor {
  checkPositive('randomNormal', 'std', std);
  return tensor(normalValues(sizeOf(shape), seed).map((value) => mean + std * value), [...shape], 'float32');
}

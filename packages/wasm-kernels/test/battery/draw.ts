import { randomArray, randomIntegers } from '@evenkeel/testing/numbers';
import { tensor, type NamedTensorMap, type Tensor } from '@tensorflow/tfjs-core';

/** Values — a tensor that is not yet on any backend. */
export type Values = { readonly shape: number[]; readonly dtype: 'float32' | 'int32' | 'bool'; readonly data: Float32Array | Int32Array | Uint8Array };

/** Draw — the next input of a row, each from a seed of its own. */
export type Draw = {
  floats(...shape: number[]): Values;
  /** Above zero: what stands under a root. */
  positive(...shape: number[]): Values;
  integers(limit: number, ...shape: number[]): Values;
  bools(...shape: number[]): Values;
};

/** DrawOptions — `std` of the floats; `special`: the number of the float input that gets NaN, +∞ and −∞ in three places. */
export type DrawOptions = { readonly std?: number; readonly special?: number };

const SPECIALS = [NaN, Infinity, -Infinity];

export function drawer({ std = 1, special }: DrawOptions = {}): Draw {
  let seed = 0;
  let floats = 0;
  const make = (shape: number[], change: (value: number) => number): Values => {
    const data = randomArray(sizeOf(shape), { seed: ++seed, std }).map(change);
    // One odd place in each third; never in the first row alone, so that rows without any are seen too.
    if (floats++ === special) SPECIALS.forEach((value, i) => { if (data.length > 0) data[Math.floor((data.length * (i + 0.6)) / 3)] = value; });
    return { shape, dtype: 'float32', data };
  };
  return {
    floats: (...shape) => make(shape, (value) => value),
    positive: (...shape) => make(shape, Math.abs),
    integers: (limit, ...shape) => ({ shape, dtype: 'int32', data: randomIntegers(sizeOf(shape), limit, ++seed) }),
    bools: (...shape) => ({ shape, dtype: 'bool', data: Uint8Array.from(randomIntegers(sizeOf(shape), 2, ++seed)) }),
  };
}

export function tensorsOf(inputs: Readonly<Record<string, Values>>): NamedTensorMap {
  return Object.fromEntries(Object.entries(inputs).map(([name, { data, shape, dtype }]) => [name, tensor(data, shape, dtype) as Tensor]));
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, length) => size * length, 1);
}

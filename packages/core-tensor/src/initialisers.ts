import { ones as onesTensor, tensor, zeros as zerosTensor, type Tensor } from '@tensorflow/tfjs-core';
import { checkInteger, checkPositive } from './check.ts';
import { ConfigError } from './errors.ts';
import type { ParamSpec } from './paramSpec.ts';
import { randomNormal, truncatedNormalValues, uniformValues } from './random.ts';
import { foldSeed, type Seed } from './seed.ts';

/**
 * Initialiser — the first values of a parameter, from its spec and its seed; and, where they follow from others of its layer, from its
 * `siblings`: the parameters of the same node that stand before it in the specs, by name.
 */
export type Initialiser = (spec: ParamSpec, seed: Seed, siblings?: Readonly<Record<string, Tensor>>) => Tensor;

/** zeros — all 0. */
export const zeros: Initialiser = ({ shape }) => zerosTensor([...shape]);

/** ones — all 1. */
export const ones: Initialiser = ({ shape }) => onesTensor([...shape]);

/** normal — N(0, std²); GPT-2's default is 0.02. */
export function normal({ std = 0.02 }: { std?: number } = {}): Initialiser {
  checkPositive('normal', 'std', std);
  return ({ shape }, seed) => randomNormal(shape, { seed, std });
}

/** truncatedNormal — N(0, std²) cut off at ±2 std, as ViT and BERT start. */
export function truncatedNormal({ std = 0.02 }: { std?: number } = {}): Initialiser {
  checkPositive('truncatedNormal', 'std', std);
  return ({ shape }, seed) => {
    const size = shape.reduce((product, length) => product * length, 1);
    return tensor(truncatedNormalValues(size, seed).map((value) => value * std), [...shape], 'float32');
  };
}

/**
 * xavier — uniform in ±√(6 / (fanIn + fanOut)), for `out in` weights; each of the spec's `parts` has a fan-out of its own.
 * Source: Glorot & Bengio 2010.
 * @throws ConfigError  if the parameter has no two axes to take the fans from.
 */
export const xavier: Initialiser = ({ shape, fanIn, parts }, seed) => {
  const [out, ...rest] = shape;
  const inner = fanIn ?? rest[0];
  if (out === undefined || rest.length === 0 || inner === undefined) {
    throw new ConfigError(`xavier: spec must have two axes or more, got [${shape.join(', ')}]`);
  }
  const perRow = rest.reduce((product, length) => product * length, 1);
  const values = new Float32Array(out * perRow);
  let done = 0;
  for (const [i, rows] of (parts ?? [out]).entries()) {
    const bound = Math.sqrt(6 / (inner + rows));
    values.set(uniformValues(rows * perRow, i === 0 ? seed : foldSeed(seed, 'part', i), -bound, bound), done * perRow);
    done += rows;
  }
  return tensor(values, [...shape], 'float32');
};

/** scaledResidual — N(0, (std/√(2·depth))²): the projections that write to the residual stream in GPT-2. */
export function scaledResidual({ depth, std = 0.02 }: { depth: number; std?: number }): Initialiser {
  checkInteger('scaledResidual', 'depth', depth);
  return normal({ std: std / Math.sqrt(2 * depth) });
}

import { checkPositive } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';
import { sequencesOf } from './sequences.ts';
import { lowerMedian } from './topAndMedian.ts';

export type FindMassiveActivationsOptions = {
  /** Smallest |a|, in the unit of the activations; itself it is too small. Default 100. */
  readonly absThreshold?: number;
  /** Smallest |a| over the median of its sequence. Default 1000; models of a few million parameters do not reach it. */
  readonly ratioThreshold?: number;
};

/** MassiveActivation — where it is (one index per axis of the hidden states), its value, and |value| over the median of its sequence. */
export type MassiveActivation = { readonly index: readonly number[]; readonly value: number; readonly ratio: number };

/**
 * findMassiveActivations — the entries of hidden states that are massive: |a| > 100 and |a| ≥ 1000 times the median of |h| of the sequence.
 *
 * @param h  `… t c` — the residual stream after a block; every axis before the last two counts sequences.
 * @returns  largest first. Even counts have the lower of two medians.
 * @throws ShapeError   if `h` is not float32 or has fewer than two axes.
 * @throws ConfigError  if a threshold is not above 0.
 *
 * Source: Sun et al. 2024, arXiv:2402.17762, §2.
 */
export async function findMassiveActivations(h: Tensor, { absThreshold = 100, ratioThreshold = 1000 }: FindMassiveActivationsOptions = {}): Promise<MassiveActivation[]> {
  checkPositive('findMassiveActivations', 'absThreshold', absThreshold);
  checkPositive('findMassiveActivations', 'ratioThreshold', ratioThreshold);
  const { shape } = h;
  const sequences = await sequencesOf('findMassiveActivations', h);
  const signed = await h.data<'float32'>();
  const found = sequences.flatMap((sequence, s) => {
    const median = lowerMedian(sequence.slice());
    return [...sequence.entries()]
      .filter(([, size]) => size > absThreshold && size / median >= ratioThreshold)
      .map(([i, size]) => ({ index: indexOf(s * sequence.length + i, shape), value: signed[s * sequence.length + i] as number, ratio: size / median }));
  });
  return found.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
}

function indexOf(flat: number, shape: readonly number[]): number[] {
  let rest = flat;
  return [...shape].reverse().map((size) => {
    const at = rest % size;
    rest = (rest - at) / size;
    return at;
  }).reverse();
}

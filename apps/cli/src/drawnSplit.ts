import { foldSeed } from '@evenkeel/core-tensor';
import { oneEpochSampler } from '@evenkeel/data';
import { UsageError } from './errors.ts';

/** DrawnSplit — places of examples to train on and to validate with. */
export type DrawnSplit = { readonly train: Uint32Array; readonly val: Uint32Array };

/**
 * drawnSplit — a share of `count` examples, drawn at random, for validation; all others are to train on.
 *
 * @param what  the examples are called.
 * @throws UsageError  if a share that is not 0 leaves nothing on one side.
 */
export function drawnSplit(count: number, what: string, { valFraction, seed }: { readonly valFraction: number; readonly seed: number }): DrawnSplit {
  const kept = Math.round(count * valFraction);
  if (valFraction > 0 && (kept === 0 || kept === count)) throw new UsageError(`--val-fraction must leave ${what} to train on and to validate with, or be 0, got ${valFraction} of ${count}`);
  const order = oneEpochSampler({ count, batchSize: count, seed: foldSeed(seed, 'split') }).indices(0);
  return { train: order.subarray(kept), val: order.subarray(0, kept) };
}

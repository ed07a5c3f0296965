import type { Variable } from '@tensorflow/tfjs-core';
import { treeLeaves, type Params } from '@evenkeel/core-tensor';

/** Spread — median and the 10th and 90th percentile of a sample. */
export type Spread = { readonly median: number; readonly p10: number; readonly p90: number };

/** spreadOf — the spread of a sample, linearly interpolated between neighbours; all 0 for an empty one. */
export function spreadOf(sample: readonly number[]): Spread {
  const sorted = Float64Array.from(sample).sort();
  return { median: quantile(sorted, 0.5), p10: quantile(sorted, 0.1), p90: quantile(sorted, 0.9) };
}

function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const [low = 0, high = low] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return round(low + (high - low) * (at - Math.floor(at)), 3);
}

/** round — `value` with at most `digits` digits after the point. */
export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** parameterCount — how many numbers a model trains. */
export function parameterCount(params: Params): number {
  return treeLeaves<Variable>(params).reduce((sum, { size }) => sum + size, 0);
}

/** spread — so many of `count` places, from the first to the last, or all. */
export function spread(count: number, most: number): number[] {
  const chosen = Math.min(count, most);
  return Array.from({ length: chosen }, (_, i) => Math.floor((i * count) / chosen));
}

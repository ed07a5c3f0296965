import { quantileSorted } from 'd3-array';

/** Spread — median, 10th and 90th percentile. */
export type Spread = { readonly median: number; readonly p10: number; readonly p90: number };

/** spreadOf — the spread of a sample, interpolated linearly; all 0 for an empty one. */
export function spreadOf(sample: Iterable<number>): Spread {
  const sorted = [...sample].sort((a, b) => a - b);
  const at = (share: number): number => quantileSorted(sorted, share) ?? 0;
  return { median: at(0.5), p10: at(0.1), p90: at(0.9) };
}

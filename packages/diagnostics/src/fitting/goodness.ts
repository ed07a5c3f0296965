import type { Point } from './point.ts';

/** Goodness — how well a curve fits: share of the variance that it explains, and Akaike's criterion, lower for the better model. */
export type Goodness = { readonly r2: number; readonly aic: number };

/**
 * goodnessOf — R² = 1 − SSE/SST and AIC = n ln(SSE/n) + 2k of a fitted curve with k parameters. R² of points that do not vary is 1 where
 * the curve meets them and −∞ where not.
 */
export function goodnessOf(points: readonly Point[], curve: (x: number) => number, parameters: number): Goodness {
  const n = points.length;
  const mean = points.reduce((sum, { y }) => sum + y, 0) / n;
  const sumOfSquares = (residual: (point: Point) => number): number => points.reduce((sum, point) => sum + residual(point) ** 2, 0);
  const sse = sumOfSquares(({ x, y }) => y - curve(x));
  const sst = sumOfSquares(({ y }) => y - mean);
  return { r2: sse === 0 ? 1 : 1 - sse / sst, aic: n * Math.log(sse / n) + 2 * parameters };
}

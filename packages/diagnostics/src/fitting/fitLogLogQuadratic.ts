import { checkPoints, type Point } from './point.ts';
import { goodnessOf } from './goodness.ts';
import { leastSquares } from './leastSquares.ts';

export type LogLogQuadratic = {
  /** c₀, c₁, c₂ of ln y = c₀ + c₁ ln x + c₂ (ln x)². */
  readonly coefficients: readonly [number, number, number];
  /** Of ln y. */
  readonly r2: number;
  predict(x: number): number;
  /** The smallest x above all points at which the curve is at `y` or above; undefined if it never is. */
  reaches(y: number): number | undefined;
};

/**
 * fitLogLogQuadratic — a quadratic through points in log-log coordinates, for extrapolating a statistic, such as the largest attention
 * logit, over model size, learning rate or steps.
 *
 *     ln y = c₀ + c₁ ln x + c₂ (ln x)²
 *
 * @param points  x and y above 0, at least three different x.
 * @throws ConfigError  if there are fewer, or one is not above 0.
 *
 * Source: Wortsman et al. 2023, arXiv:2309.14322, §3.3; that it is a quadratic of the logarithms is our reading of its figure.
 */
export function fitLogLogQuadratic(points: readonly Point[]): LogLogQuadratic {
  checkPoints('fitLogLogQuadratic', points, { atLeast: 3, x: 'positive', y: 'positive' });
  const logs = points.map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }));
  const centre = logs.reduce((sum, { x }) => sum + x, 0) / logs.length; // powers of x − centre are nearly independent
  const [d0, d1, d2] = leastSquares(logs.map(({ x }) => [1, x - centre, (x - centre) ** 2]), logs.map(({ y }) => y)) as [number, number, number];
  const logAt = (x: number): number => d0 + d1 * (x - centre) + d2 * (x - centre) ** 2;
  const last = Math.max(...logs.map(({ x }) => x));
  return {
    coefficients: [d0 - d1 * centre + d2 * centre ** 2, d1 - 2 * d2 * centre, d2],
    r2: goodnessOf(logs, logAt, 3).r2,
    predict: (x) => Math.exp(logAt(Math.log(x))),
    reaches: (y) => {
      if (logAt(last) >= Math.log(y)) return Math.exp(last);
      const beyond = rootsOf(d0 - Math.log(y), d1, d2).filter((root) => root + centre > last);
      return beyond.length === 0 ? undefined : Math.exp(Math.min(...beyond) + centre);
    },
  };
}

/** Real roots of c + b·x + a·x². */
function rootsOf(c: number, b: number, a: number): number[] {
  const discriminant = b * b - 4 * a * c;
  if (discriminant < 0) return [];
  const q = -(b + (b >= 0 ? 1 : -1) * Math.sqrt(discriminant)) / 2; // without the cancellation of the usual formula
  return [q / a, c / q].filter(Number.isFinite);
}

import { goodnessOf } from './goodness.ts';
import { leastSquares } from './leastSquares.ts';
import { nelderMead } from './nelderMead.ts';
import { checkPoints, type Point } from './point.ts';

export type PowerLawOptions = {
  /** Whether the law levels off at a value above 0. Default false. */
  readonly floor?: boolean;
};

export type PowerLaw = {
  readonly a: number;
  readonly b: number;
  /** The floor; 0 without one. */
  readonly lInf: number;
  /** Of ln y; with a floor of y itself. */
  readonly r2: number;
  predict(x: number): number;
};

/**
 * fitPowerLaw — the law that losses follow over steps, tokens or sizes.
 *
 *     ln y = ln a − b ln x               least squares of the logarithms
 *     y = lInf + a x⁻ᵇ,  lInf ≥ 0        with `floor`: least squares of y, over a grid of b and then Nelder and Mead
 *
 * @param points  x and y above 0; at least two different x, four with `floor`. Leave out the warm-up and the end of a decaying schedule.
 * @throws ConfigError  if there are fewer, or one is not above 0.
 *
 * Source: Komatsuzaki 2019, arXiv:1906.06669, for losses of one-epoch training.
 */
export function fitPowerLaw(points: readonly Point[], { floor = false }: PowerLawOptions = {}): PowerLaw {
  checkPoints('fitPowerLaw', points, { atLeast: floor ? 4 : 2, x: 'positive', y: 'positive' });
  const plain = withoutFloor(points);
  return floor ? withFloor(points, plain) : plain;
}

function withoutFloor(points: readonly Point[]): PowerLaw {
  const logs = points.map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }));
  const [intercept, slope] = leastSquares(logs.map(({ x }) => [1, x]), logs.map(({ y }) => y)) as [number, number];
  const a = Math.exp(intercept);
  const { r2 } = goodnessOf(logs, (x) => intercept + slope * x, 2);
  return { a, b: 0 - slope, lInf: 0, r2, predict: (x) => a * x ** slope };
}

/** For a given b the law is linear in lInf and a. */
function withFloor(points: readonly Point[], plain: PowerLaw): PowerLaw {
  const middle = Math.exp(points.reduce((sum, { x }) => sum + Math.log(x), 0) / points.length); // x in a unit in which a is of the size of y
  const at = (b: number): PowerLaw & { sse: number } => {
    const powers = points.map(({ x }) => (x / middle) ** -b);
    const [level, height] = leastSquares(powers.map((power) => [1, power]), points.map(({ y }) => y)) as [number, number];
    const lInf = Math.max(0, level);
    const scale = level >= 0 ? height : dot(powers, points.map(({ y }) => y)) / dot(powers, powers);
    const predict = (x: number): number => lInf + scale * (x / middle) ** -b;
    const sse = points.reduce((sum, { x, y }) => sum + (y - predict(x)) ** 2, 0);
    return { a: scale * middle ** b, b, lInf, r2: goodnessOf(points, predict, 3).r2, predict, sse };
  };
  const sseAt = (logB: number): number => at(Math.exp(logB)).sse;
  const grid = Array.from({ length: 40 }, (_, i) => Math.log(0.01) + (i / 39) * Math.log(1000)); // b from 0.01 to 10
  const start = grid.reduce((best, logB) => (sseAt(logB) < sseAt(best) ? logB : best));
  const { sse, ...law } = at(Math.exp(nelderMead(([logB]) => sseAt(logB as number), [start], { step: 0.1 }).x[0] as number));
  const plainSse = points.reduce((sum, { x, y }) => sum + (y - plain.predict(x)) ** 2, 0);
  return sse <= plainSse ? law : { ...plain, r2: goodnessOf(points, plain.predict, 2).r2 };
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);

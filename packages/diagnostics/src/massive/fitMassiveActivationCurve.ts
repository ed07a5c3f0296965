import { goodnessOf, type Goodness } from '../fitting/goodness.ts';
import { leastSquares } from '../fitting/leastSquares.ts';
import { nelderMead } from '../fitting/nelderMead.ts';
import { checkPoints, type Point } from '../fitting/point.ts';
import { fromShiftedCurve, massiveActivationCurve, peakOf, shiftedCurve, type MassiveActivationCurve, type ShiftedCurve } from './massiveActivationCurve.ts';

/** FittedMassiveActivationCurve — the curve, how well it fits, and where it peaks (see `peakOf`). */
export type FittedMassiveActivationCurve = MassiveActivationCurve & Goodness & { readonly tPeak: number };

/** Nodes of the grid per axis; decay and offset in units of the last step. */
const NODES = 12;
const BETA = [1e-2, 30] as const;
const TAU0 = [1e-4, 10] as const;
/** Nodes from which the search goes on. */
const STARTS = 3;
/** Largest |ln gamma| and |ln(A/A1)|: beyond them the curve has no logarithm left, and its parameters no values that numbers could hold. */
const MAX_LOG = 100;

/**
 * fitMassiveActivationCurve — the curve of a layer's ratios over the training steps, by least squares.
 *
 * In the form of ShiftedCurve three of its parameters are linear: for the other two a grid of 12 × 12, then Nelder and Mead from the best
 * nodes. Where the curve never bends within the points, A and gamma are hardly determined: read r2 and tPeak then.
 *
 * @param points  x: steps, at least 0, six different ones or more (27 or more is advisable); y: ratios.
 * @returns       the parameters, r2, aic (of k = 5 parameters) and tPeak.
 * @throws ConfigError  if there are fewer points, or one is not finite.
 *
 * Source: arXiv:2508.03616. Departs from the paper: it fits all five parameters at once by a trust-region method.
 */
export function fitMassiveActivationCurve(points: readonly Point[]): FittedMassiveActivationCurve {
  checkPoints('fitMassiveActivationCurve', points, { atLeast: 6, x: 'nonNegative' });
  const { scaled, restore } = normalised(points);
  const curve = restore(fitScaled(scaled));
  return { ...curve, ...goodnessOf(points, (t) => massiveActivationCurve(t, curve), 5), tPeak: peakOf(curve) };
}

/** The points on scales of 1, and the way back for parameters. */
function normalised(points: readonly Point[]): { scaled: Point[]; restore: (curve: ShiftedCurve) => MassiveActivationCurve } {
  const span = Math.max(...points.map(({ x }) => x));
  const low = Math.min(...points.map(({ y }) => y));
  const height = Math.max(...points.map(({ y }) => y)) - low || 1;
  return {
    scaled: points.map(({ x, y }) => ({ x: x / span, y: (y - low) / height })),
    restore: (scaledCurve) => {
      const { A, lambda, gamma, t0, K } = fromShiftedCurve(scaledCurve);
      return { A: height * A, lambda, gamma: gamma / span, t0, K: height * K + low };
    },
  };
}

function fitScaled(points: readonly Point[]): ShiftedCurve {
  const sseAt = (x: readonly number[]): number => linearPart(points, x).sse;
  const axis = ([from, to]: readonly [number, number]): number[] =>
    Array.from({ length: NODES }, (_, i) => Math.log(from) + (i / (NODES - 1)) * Math.log(to / from));
  const nodes = axis(BETA).flatMap((logBeta) => axis(TAU0).map((logTau0) => ({ x: [logBeta, logTau0], sse: sseAt([logBeta, logTau0]) })));
  const starts = nodes.sort((a, b) => a.sse - b.sse).slice(0, STARTS);
  const found = starts.map(({ x }) => nelderMead(sseAt, nelderMead(sseAt, x).x, { step: 0.05 })); // the second simplex frees one that has collapsed
  const best = found.reduce((a, b) => (b.value < a.value ? b : a));
  return linearPart(points, best.x).curve;
}

/** The best A1, A2 and K for given ln beta and ln tau0. */
function linearPart(points: readonly Point[], [logBeta, logTau0]: readonly number[]): { curve: ShiftedCurve; sse: number } {
  const [beta, tau0] = [Math.exp(logBeta as number), Math.exp(logTau0 as number)];
  const rows = points.map(({ x }) => {
    const decay = Math.exp(-beta * x);
    return [decay * Math.log(x + tau0), decay, 1];
  });
  const [A1, A2, K] = leastSquares(rows, points.map(({ y }) => y)) as [number, number, number];
  const curve = { beta, tau0, A1, A2, K };
  if (Math.abs(A2) > MAX_LOG * Math.abs(A1) || beta * tau0 > MAX_LOG) return { curve, sse: Infinity };
  return { curve, sse: points.reduce((sum, { x, y }) => sum + (y - shiftedCurve(x, curve)) ** 2, 0) };
}

import { goodnessOf, type Goodness } from '../fitting/goodness.ts';
import { nelderMead } from '../fitting/nelderMead.ts';
import { checkPoints, type Point } from '../fitting/point.ts';

/** FirstOrderResponse — K (1 − e^(−t/tau)). */
export type FirstOrderResponse = Goodness & { readonly K: number; readonly tau: number };

/** SecondOrderResponse — what a damped oscillator of frequency omega and damping zeta does when it is pushed to K; zeta < 1 overshoots. */
export type SecondOrderResponse = Goodness & { readonly K: number; readonly omega: number; readonly zeta: number };

/** firstOrderStepResponse — K (1 − e^(−t/tau)). */
export const firstOrderStepResponse = (t: number, { K, tau }: Pick<FirstOrderResponse, 'K' | 'tau'>): number => -K * Math.expm1(-t / tau);

/**
 * secondOrderStepResponse — K (1 − e^(−ζωt) (cos(dt) + ζω sin(dt)/d)) with d = ω√(1 − ζ²), which is imaginary, and cos and sin hyperbolic,
 * where ζ > 1.
 */
export function secondOrderStepResponse(t: number, { K, omega, zeta }: Pick<SecondOrderResponse, 'K' | 'omega' | 'zeta'>): number {
  const decay = zeta * omega;
  const square = omega * omega * (1 - zeta * zeta);
  const d = Math.sqrt(Math.abs(square));
  if (d * t < 1e-6) return K * (1 - Math.exp(-decay * t) * (1 + decay * t)); // critically damped
  if (square > 0) return K * (1 - Math.exp(-decay * t) * (Math.cos(d * t) + (decay * Math.sin(d * t)) / d));
  const [slow, fast] = [Math.exp((d - decay) * t), Math.exp(-(d + decay) * t)]; // cosh alone would overflow
  return K * (1 - (slow + fast) / 2 - (decay * (slow - fast)) / (2 * d));
}

/**
 * fitFirstOrderStepResponse — the plainest curve that rises and levels off, against which `fitMassiveActivationCurve` is to be compared by `aic`.
 *
 * @param points  x: steps, at least 0, three different ones or more.
 * @throws ConfigError  if there are fewer, or one is not finite.
 *
 * Source: arXiv:2508.03616, where it is one of the rejected hypotheses.
 */
export function fitFirstOrderStepResponse(points: readonly Point[]): FirstOrderResponse {
  checkPoints('fitFirstOrderStepResponse', points, { atLeast: 3, x: 'nonNegative' });
  const span = Math.max(...points.map(({ x }) => x));
  const shape = ([logTau]: readonly number[]) => (t: number): number => firstOrderStepResponse(t, { K: 1, tau: Math.exp(logTau as number) });
  const { x: [logTau], K } = fitShape(points, shape, [range(Math.log(1e-3 * span), Math.log(1e3 * span), 40)]);
  const tau = Math.exp(logTau as number);
  return { K, tau, ...goodnessOf(points, (t) => firstOrderStepResponse(t, { K, tau }), 2) };
}

/**
 * fitSecondOrderStepResponse — the same with a response that may overshoot (zeta < 1) or rise in two stages (zeta > 1): under-damped,
 * critically damped and over-damped in one family of three parameters.
 *
 * @param points  x: steps, at least 0, four different ones or more.
 * @throws ConfigError  if there are fewer, or one is not finite.
 *
 * Source: arXiv:2508.03616, where it is one of the rejected hypotheses.
 */
export function fitSecondOrderStepResponse(points: readonly Point[]): SecondOrderResponse {
  checkPoints('fitSecondOrderStepResponse', points, { atLeast: 4, x: 'nonNegative' });
  const span = Math.max(...points.map(({ x }) => x));
  const parametersOf = ([logOmega, logZeta]: readonly number[]) => ({ omega: Math.exp(logOmega as number), zeta: Math.exp(logZeta as number) });
  const shape = (x: readonly number[]) => (t: number): number => secondOrderStepResponse(t, { K: 1, ...parametersOf(x) });
  const { x, K } = fitShape(points, shape, [range(Math.log(0.1 / span), Math.log(300 / span), 24), range(Math.log(0.02), Math.log(20), 12)]);
  const found = { K, ...parametersOf(x) };
  return { ...found, ...goodnessOf(points, (t) => secondOrderStepResponse(t, found), 3) };
}

const range = (from: number, to: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + (i / (count - 1)) * (to - from));

/** The best K · shape: K is linear, the parameters of the shape are searched on a grid and then by Nelder and Mead. */
function fitShape(points: readonly Point[], shape: (x: readonly number[]) => (t: number) => number, axes: readonly (readonly number[])[]): { x: readonly number[]; K: number } {
  const at = (x: readonly number[]): { sse: number; K: number } => {
    const values = points.map((point) => shape(x)(point.x));
    const [along, length] = values.reduce(([a, b], value, i) => [a + value * points[i]!.y, b + value * value], [0, 0]);
    const K = length === 0 ? 0 : along / length;
    return { K, sse: values.reduce((sum, value, i) => sum + (points[i]!.y - K * value) ** 2, 0) };
  };
  const nodes = axes.reduce<number[][]>((all, axis) => all.flatMap((node) => axis.map((value) => [...node, value])), [[]]);
  const start = nodes.map((x) => ({ x, sse: at(x).sse })).reduce((best, node) => (node.sse < best.sse ? node : best)).x;
  const { x } = nelderMead((each) => at(each).sse, start, { step: 0.2 });
  return { x, K: at(x).K };
}

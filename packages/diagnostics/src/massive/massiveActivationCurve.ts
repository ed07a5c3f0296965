import { lambertWOfExp } from '../fitting/lambertW.ts';

/** MassiveActivationCurve — A: amplitude; lambda ≥ 0: decay; gamma: time scale, per step; t0: offset; K: what it tends to where lambda > 0. */
export type MassiveActivationCurve = { readonly A: number; readonly lambda: number; readonly gamma: number; readonly t0: number; readonly K: number };

/**
 * massiveActivationCurve — how the ratio of a layer's largest activation to its median goes with the training step.
 *
 *     f(t) = A exp(−lambda x) ln(x) + K,   x = gamma t + t0
 *
 * @param t  steps; gamma t + t0 must be above 0.
 *
 * Source: arXiv:2508.03616, "Hidden dynamics of massive activations in transformer training", 2025.
 */
export function massiveActivationCurve(t: number, { A, lambda, gamma, t0, K }: MassiveActivationCurve): number {
  const x = gamma * t + t0;
  return A * Math.exp(-lambda * x) * Math.log(x) + K;
}

/** massiveActivationCurveGradient — the derivatives of `massiveActivationCurve` by A, lambda, gamma, t0 and K, in this order. */
export function massiveActivationCurveGradient(t: number, { A, lambda, gamma, t0 }: MassiveActivationCurve): [number, number, number, number, number] {
  const x = gamma * t + t0;
  const decay = Math.exp(-lambda * x);
  const log = Math.log(x);
  const byX = A * decay * (1 / x - lambda * log);
  return [decay * log, -A * x * decay * log, byX * t, byX, 1];
}

/**
 * ShiftedCurve — the same curve as f(t) = e^(−beta t) (A1 ln(t + tau0) + A2) + K: linear in A1, A2 and K, which is what it is fitted in. A
 * curve whose A1 is 0 has no A and gamma: it is taken to have A = 0.
 */
export type ShiftedCurve = { readonly beta: number; readonly tau0: number; readonly A1: number; readonly A2: number; readonly K: number };

/** shiftedCurve — its value. */
export const shiftedCurve = (t: number, { beta, tau0, A1, A2, K }: ShiftedCurve): number => Math.exp(-beta * t) * (A1 * Math.log(t + tau0) + A2) + K;

/** toShiftedCurve — the parameters of the second form. */
export function toShiftedCurve({ A, lambda, gamma, t0, K }: MassiveActivationCurve): ShiftedCurve {
  const A1 = A * Math.exp(-lambda * t0);
  return { beta: lambda * gamma, tau0: t0 / gamma, A1, A2: A1 * Math.log(gamma), K };
}

/** fromShiftedCurve — the parameters of the first form. */
export function fromShiftedCurve({ beta, tau0, A1, A2, K }: ShiftedCurve): MassiveActivationCurve {
  const gamma = A1 === 0 ? 1 : Math.exp(A2 / A1);
  return { A: A1 * Math.exp(beta * tau0), lambda: beta / gamma, gamma, t0: tau0 * gamma, K };
}

/**
 * peakOf — the step at which the curve is stationary: its peak where A > 0. It can be seen in a run of T steps if it lies between 0 and T.
 *
 *     t = (exp(W(1/lambda)) − t0)/gamma
 *
 * @returns  Infinity where lambda is 0: the curve never bends.
 */
export function peakOf({ lambda, gamma, t0 }: Pick<MassiveActivationCurve, 'lambda' | 'gamma' | 't0'>): number {
  if (lambda === 0) return Infinity;
  const w = lambertWOfExp(-Math.log(lambda));
  return 1 / (lambda * gamma * w) - t0 / gamma; // exp(W(z)) = z/W(z)
}

import { add, div, greater, logicalAnd, mul, onesLike, sqrt, tensor1d, tidy, where, type Tensor, type Tensor1D } from '@tensorflow/tfjs-core';
import { meanSquares } from './means.ts';

/** norms — the Euclidean norm of each tensor of a list; one number per tensor. */
export function norms(xs: readonly Tensor[]): Tensor1D {
  return tidy(() => sqrt(mul(meanSquares(xs), tensor1d(xs.map(({ size }) => size))))) as Tensor1D;
}

export type TrustOptions = {
  /** Which tensors have a ratio; the others have 1. */
  readonly adapts: readonly boolean[];
  readonly coefficient?: number;
  readonly eps?: number;
  /** By parameter: what of its norm is added to the divisor. */
  readonly penalties?: readonly number[];
};

/**
 * trustRatios — the length of each parameter in units of its step:
 *
 *     coefficient · ‖param‖ / (‖step‖ + penalty · ‖param‖ + eps)        1 where either norm is 0, or it is not wanted
 *
 * @returns  one number per parameter; the caller's.
 */
export function trustRatios(params: readonly Tensor[], steps: readonly Tensor[], { adapts, coefficient = 1, eps = 0, penalties }: TrustOptions): Tensor1D {
  return tidy('trustRatios', () => {
    const [lengths, stepLengths] = [norms(params), norms(steps)];
    const divisor = add(stepLengths, penalties === undefined ? eps : add(mul(lengths, tensor1d([...penalties])), eps));
    const isKnown = logicalAnd(logicalAnd(greater(lengths, 0), greater(stepLengths, 0)), tensor1d(adapts.map(Number), 'bool'));
    return where(isKnown, div(mul(lengths, coefficient), divisor), onesLike(lengths));
  }) as Tensor1D;
}

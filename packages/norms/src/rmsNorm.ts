import { checkInteger, ConfigError, fusedOp, param, runKernel } from '@evenkeel/core-tensor';
import { add, fill, tidy, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkNorm } from './checkNorm.ts';
import { referenceRmsNorm } from './reference/rmsNorm.ts';

/** RmsNormParams — `weight: c` (gain); may be absent. */
export type RmsNormParams = { weight?: Tensor };
export type RmsNormOptions = {
  /** Added to the mean square, so in the unit of x²; default 1e-6. */
  eps?: number;
  /** What is added to `weight` to give the gain: 1 in Gemma, whose weights start at 0, so that weight decay pulls gains to 1. Default 0. */
  gainOffset?: 0 | 1;
};

const fusedRmsNorm = fusedOp<{ x: Tensor; weight?: Tensor }, { eps: number }>({
  name: 'evenkeel/rmsNorm',
  reference: referenceRmsNorm,
  gradient: {
    kernels: ['evenkeel/rmsNormGrad'],
    run: ({ dy, inputs: { x, weight }, attrs }) => {
      const [dx, dweight] = runKernel<Tensor[]>('evenkeel/rmsNormGrad', { x, weight, dy }, attrs);
      return { x: dx, weight: dweight };
    },
  },
  differentiable: 'once',
});

/**
 * rmsNorm — divides each row by its root mean square, then scales it.
 *
 *     y = (weight + gainOffset) · x / √(mean(x²) + eps)
 *
 * @param x        `... c` — activations, float32, rank ≥ 1; rows are the last axis.
 * @param params   `weight: c` — one gain per channel (without one the gain is 1).
 * @param options  `eps` (default 1e-6) is added to the mean square, so it has the unit of x²; `gainOffset`, 0 (default) or 1.
 * @returns        `... c` — a new tensor owned by the caller.
 * @throws ShapeError   if a tensor is not float32, or the last axis of `x` is not as long as `weight`.
 * @throws ConfigError  if `eps` is not positive, or `gainOffset` neither 0 nor 1.
 *
 * Source: Zhang & Sennrich 2019, arXiv:1910.07467, §4. Departs from the paper: `eps`, absent there.
 */
export function rmsNorm<T extends Tensor>(x: T, { weight }: RmsNormParams, { eps = 1e-6, gainOffset = 0 }: RmsNormOptions = {}): T {
  checkNorm('rmsNorm', x, { weight }, eps);
  checkGainOffset('rmsNorm', gainOffset);
  return tidy('rmsNorm', () => fusedRmsNorm({ x, weight: gainOf(weight, gainOffset) }, { eps })) as T;
}

/** initRmsNorm — `weight` such that the gain is 1, as a variable; free it with `tf.dispose`. */
export function initRmsNorm(dim: number, { gainOffset = 0 }: Pick<RmsNormOptions, 'gainOffset'> = {}): { weight: Variable } {
  checkInteger('initRmsNorm', 'dim', dim);
  checkGainOffset('initRmsNorm', gainOffset);
  return { weight: param(() => fill([dim], 1 - gainOffset)) };
}

/** gainOf — what rows are multiplied by, from the weight as it is stored. */
export const gainOf = (weight: Tensor | undefined, gainOffset: 0 | 1): Tensor | undefined =>
  (weight === undefined || gainOffset === 0 ? weight : add(weight, gainOffset));

/** checkGainOffset — 0 or 1: other numbers mean nothing to anyone. */
export function checkGainOffset(fn: string, gainOffset: number): void {
  if (gainOffset !== 0 && gainOffset !== 1) throw new ConfigError(`${fn}: gainOffset must be 0 or 1, got ${String(gainOffset)}`);
}

import { checkInteger, fusedOp, param, runKernel } from '@evenkeel/core-tensor';
import { ones as onesTensor, tidy, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkNorm } from './checkNorm.ts';
import { referenceRmsNorm } from './reference/rmsNorm.ts';

/** RmsNormParams — `weight: c` (gain); may be absent. */
export type RmsNormParams = { weight?: Tensor };
export type RmsNormOptions = {
  /** Added to the mean square, so in the unit of x²; default 1e-6. */
  eps?: number;
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
 *     y = weight · x / √(mean(x²) + eps)
 *
 * @param x        `... c` — activations, float32, rank ≥ 1; rows are the last axis.
 * @param params   `weight: c` — one gain per channel (default 1).
 * @param options  `eps` (default 1e-6) is added to the mean square, so it has the unit of x².
 * @returns        `... c` — a new tensor owned by the caller.
 * @throws ShapeError   if a tensor is not float32, or the last axis of `x` is not as long as `weight`.
 * @throws ConfigError  if `eps` is not positive.
 *
 * Source: Zhang & Sennrich 2019, arXiv:1910.07467, §4. Departs from the paper: `eps`, absent there.
 */
export function rmsNorm<T extends Tensor>(x: T, { weight }: RmsNormParams, { eps = 1e-6 }: RmsNormOptions = {}): T {
  checkNorm('rmsNorm', x, { weight }, eps);
  return tidy('rmsNorm', () => fusedRmsNorm({ x, weight }, { eps })) as T;
}

/** initRmsNorm — `weight` all 1, as a variable; free it with `tf.dispose`. */
export function initRmsNorm(dim: number): { weight: Variable } {
  checkInteger('initRmsNorm', 'dim', dim);
  return { weight: param(() => onesTensor([dim])) };
}

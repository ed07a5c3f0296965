import { add, div, mul, sqrt, square, zerosLike, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import {
  checkPositive, checkProbability, perStep, stateVariable, stepScalar, treeMap, type GradientTransform, type StepNumber, type Tree,
} from '@evenkeel/core-tensor';
import { countStep } from './countStep.ts';
import { mapLeaves } from './leaves.ts';

/** AdamState — steps done, and the running means of the gradient and of its square: non-trainable variables. */
export type AdamState = { count: number; mu: Tree<Variable>; nu: Tree<Variable> };

export type ScaleByAdamOptions = { beta1?: number; beta2?: number; eps?: number };

/**
 * scaleByAdam — divides the running mean of each gradient by the root of the running mean of its square.
 *
 *     mu ← beta1·mu + (1 − beta1)·g        nu ← beta2·nu + (1 − beta2)·g²
 *     update = (mu / (1 − beta1ᵗ)) / (√(nu / (1 − beta2ᵗ)) + eps)
 *
 * @param options  `beta1` (0.9), `beta2` (0.999); `eps` (1e-8) has the unit of the gradient.
 * @throws ConfigError  if a beta is outside [0, 1) or `eps` is not positive.
 *
 * Source: Kingma & Ba 2014, arXiv:1412.6980, algorithm 1, without its step size.
 */
export function scaleByAdam({ beta1 = 0.9, beta2 = 0.999, eps = 1e-8 }: ScaleByAdamOptions = {}): GradientTransform<AdamState> {
  checkAdam('scaleByAdam', { beta1, beta2, eps });
  return Object.freeze({
    init: initAdam,
    update: (grads: Tree<Tensor>, state: AdamState, params: Tree<Variable>) => {
      const corrections = biasCorrections(state, { beta1, beta2 });
      const updates = mapLeaves('scaleByAdam', params, { grads, mu: state.mu, nu: state.nu }, (_, leaves) => {
        const moments = adamMoments(leaves.grads, leaves.mu, leaves.nu, { beta1, beta2 });
        (leaves.mu as Variable).assign(moments.mu);
        (leaves.nu as Variable).assign(moments.nu);
        return adamDirection(moments.mu, moments.nu, { ...corrections, eps });
      });
      countStep(state);
      return updates;
    },
  });
}

/** checkAdam — throws ConfigError unless the options are those of an Adam. */
export function checkAdam(fn: string, { beta1, beta2, eps }: Required<ScaleByAdamOptions>): void {
  checkProbability(fn, 'beta1', beta1);
  checkProbability(fn, 'beta2', beta2);
  checkPositive(fn, 'eps', eps);
}

/** initAdam — moments of zeros for every parameter. */
export function initAdam(params: Tree<Variable>): AdamState {
  const zeros = (): Tree<Variable> => treeMap((param) => stateVariable(() => zerosLike(param)), params);
  return { count: 0, mu: zeros(), nu: zeros() };
}

/** Corrections — by what the moments must be divided, since they started at 0: 1 − beta1ᵗ and 1 − beta2ᵗ. */
export type Corrections = { readonly correction1: number | StepNumber; readonly correction2: number | StepNumber };

/** biasCorrections — those of the step that is being done, the first after `state.count`. */
export function biasCorrections(state: { readonly count: number }, { beta1, beta2 }: { beta1: number; beta2: number }): Corrections {
  return { correction1: perStep(() => 1 - beta1 ** (state.count + 1)), correction2: perStep(() => 1 - beta2 ** (state.count + 1)) };
}

/** adamMoments — the running means after one more gradient. */
export function adamMoments(grad: Tensor, mu: Tensor, nu: Tensor, { beta1, beta2 }: { beta1: number; beta2: number }): { mu: Tensor; nu: Tensor } {
  return { mu: add(mul(mu, beta1), mul(grad, 1 - beta1)), nu: add(mul(nu, beta2), mul(square(grad), 1 - beta2)) };
}

/** adamDirection — the corrected mean over the root of the corrected mean square. */
export function adamDirection(mu: Tensor, nu: Tensor, { correction1, correction2, eps }: Corrections & { eps: number }): Tensor {
  return div(div(mu, stepScalar(correction1)), add(sqrt(div(nu, stepScalar(correction2))), eps));
}

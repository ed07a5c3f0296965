import { add, mul, type Tensor } from '@tensorflow/tfjs-core';
import { adamDirection, adamMoments } from '../scaleByAdam.ts';

export type AdamwInputs = { param: Tensor; grad: Tensor; mu: Tensor; nu: Tensor };

export type AdamwAttrs = {
  learningRate: number; beta1: number; beta2: number; eps: number; weightDecay: number;
  /** 1 − beta1ᵗ and 1 − beta2ᵗ at this step. */
  correction1: number; correction2: number;
};

/** adamwReference — one parameter's AdamW step, of the same parts as `scaleByAdam`, `addDecayedWeights`, `scaleByLearningRate`. */
export function adamwReference({ param, grad, mu, nu }: AdamwInputs, attrs: AdamwAttrs): [update: Tensor, mu: Tensor, nu: Tensor] {
  const moments = adamMoments(grad, mu, nu, attrs);
  const direction = adamDirection(moments.mu, moments.nu, attrs);
  const decayed = attrs.weightDecay === 0 ? direction : add(direction, mul(param, attrs.weightDecay));
  return [mul(decayed, -attrs.learningRate), moments.mu, moments.nu];
}

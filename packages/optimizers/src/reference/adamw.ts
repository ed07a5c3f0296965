import { add, mul, tidy, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { currentNumber, derived, stepScalar, type StepNumber } from '@evenkeel/core-tensor';
import { adamDirection, adamMoments } from '../scaleByAdam.ts';

/** AdamwLists — tensor i of each list belongs to parameter i. */
export type AdamwLists = { readonly param: readonly Tensor[]; readonly grad: readonly Tensor[]; readonly mu: readonly Variable[]; readonly nu: readonly Variable[] };

export type AdamwAttrs = {
  learningRate: number | StepNumber; beta1: number; beta2: number; eps: number;
  /** One per parameter. */
  weightDecays: readonly number[]; scales: readonly number[];
  /** 1 − beta1ᵗ and 1 − beta2ᵗ at this step. */
  correction1: number | StepNumber; correction2: number | StepNumber;
};

/** adamwReference — AdamW's updates, of the same parts as `scaleByAdam`, `addDecayedWeights`, `scaleByLearningRate`; assigns `mu` and `nu`. */
export function adamwReference({ param, grad, mu, nu }: AdamwLists, attrs: AdamwAttrs): Tensor[] {
  return param.map((p, i) => tidy(() => {
    const moments = adamMoments(grad[i] as Tensor, mu[i] as Tensor, nu[i] as Tensor, attrs);
    mu[i]?.assign(moments.mu);
    nu[i]?.assign(moments.nu);
    const direction = adamDirection(moments.mu, moments.nu, attrs);
    const weightDecay = attrs.weightDecays[i] as number;
    const rate = derived([attrs.learningRate], () => -currentNumber(attrs.learningRate) * (attrs.scales[i] as number));
    return mul(weightDecay === 0 ? direction : add(direction, mul(p, weightDecay)), stepScalar(rate));
  }));
}

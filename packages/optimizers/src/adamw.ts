import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { hasListKernel, perStep, runListKernel, unshare, type GradientTransform, type Schedule, type Tree } from '@evenkeel/core-tensor';
import { checkWeightDecay, decayOf } from './addDecayedWeights.ts';
import { countStep } from './countStep.ts';
import { checkLearningRate, learningRateAt } from './learningRate.ts';
import { mapLists } from './leaves.ts';
import { standOnce } from './scaledSums.ts';
import { adamwReference, type AdamwAttrs, type AdamwLists } from './reference/adamw.ts';
import { biasCorrections, checkAdam, initAdam, type AdamState } from './scaleByAdam.ts';

export type AdamwOptions = {
  learningRate: number | Schedule;
  beta1?: number;
  beta2?: number;
  eps?: number;
  weightDecay?: number;
  /** True where a parameter decays, in the structure of the parameters; default everywhere. `decayMask(specs)` makes one. */
  mask?: Tree<boolean>;
};

/**
 * adamw — Adam with decoupled weight decay: `chain(scaleByAdam, addDecayedWeights, scaleByLearningRate)` in one kernel for
 * all parameters where the backend has it.
 *
 *     update = −learningRate · ( (mu / (1 − beta1ᵗ)) / (√(nu / (1 − beta2ᵗ)) + eps) + weightDecay · param )
 *
 * @param options  `learningRate` per step, a number or a schedule; `beta1` (0.9), `beta2` (0.999), `eps` (1e-8, unit of the
 *                 gradient), `weightDecay` (0.01, times the learning rate as in PyTorch), `mask`.
 * @throws ConfigError  if an option is out of range, or `mask` lacks a parameter.
 *
 * Source: Loshchilov & Hutter 2017, arXiv:1711.05101, algorithm 2. Departs from the paper: the learning rate scales the decay.
 */
export function adamw({ learningRate, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0.01, mask }: AdamwOptions): GradientTransform<AdamState> {
  checkLearningRate('adamw', learningRate);
  checkAdam('adamw', { beta1, beta2, eps });
  checkWeightDecay('adamw', weightDecay);
  return Object.freeze({
    init: initAdam,
    update: (grads: Tree<Tensor>, state: AdamState, params: Tree<Variable>) => {
      const decays = decayOf('adamw', mask);
      const shared = {
        learningRate: perStep(() => learningRateAt('adamw', learningRate, state.count)), beta1, beta2, eps,
        ...biasCorrections(state, { beta1, beta2 }),
      };
      const updates = mapLists('adamw', params, { grads, mu: state.mu, nu: state.nu }, ({ paths, params: variables, lists }) => {
        const attrs = { ...shared, weightDecays: paths.map((path) => (decays(path) ? weightDecay : 0)) };
        return adamwStep({ param: variables, grad: lists.grads, mu: lists.mu as Variable[], nu: lists.nu as Variable[] }, attrs);
      });
      countStep(state);
      return updates;
    },
  });
}

/** The updates of all parameters; brings `mu` and `nu` up to date. */
function adamwStep(lists: AdamwLists, attrs: AdamwAttrs): Tensor[] {
  const written = [...lists.mu, ...lists.nu];
  if (!standOnce(written) || !hasListKernel('evenkeel/adamw')) return adamwReference(lists, attrs);
  unshare(written);
  return runListKernel('evenkeel/adamw', lists, attrs);
}

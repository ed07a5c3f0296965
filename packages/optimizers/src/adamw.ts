import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { checkOneOf, hasListKernel, perStep, runListKernel, unshare, type GradientTransform, type Schedule, type Tree } from '@evenkeel/core-tensor';
import { countStep } from './countStep.ts';
import { checkLearningRate, learningRateAt, peakOf } from './learningRate.ts';
import { mapLists } from './leaves.ts';
import { perParam, type PerParamNumbers, type PerParamOptions } from './perParam.ts';
import { standOnce } from './scaledSums.ts';
import { adamwReference, type AdamwAttrs, type AdamwLists } from './reference/adamw.ts';
import { biasCorrections, checkAdam, initAdam, type AdamState } from './scaleByAdam.ts';

export type AdamwOptions = PerParamOptions & {
  learningRate: number | Schedule;
  beta1?: number;
  beta2?: number;
  eps?: number;
  weightDecay?: number;
  /** What the decay of a step is a share of: the learning rate (default), or the schedule alone. */
  weightDecayMode?: 'coupled' | 'independent';
  /** What an independent decay measures the schedule by; default its own `peak`. */
  peakLearningRate?: number;
};

/**
 * adamw — Adam with decoupled weight decay, in one kernel for all parameters where the backend has it.
 *
 *     coupled:      update = −η · scale · ( (mu / (1 − beta1ᵗ)) / (√(nu / (1 − beta2ᵗ)) + eps) + weightDecay · param )
 *     independent:  update = −η · scale · ( … ) − η / ηₘₐₓ · weightDecay · param
 *
 * Coupled it is `chain(scaleByAdam, addDecayedWeights, scaleByLearningRate)`. An independent decay does not change with the learning rate
 * that is tried, nor with `learningRateScales`, only with the shape of the schedule, so it is a thousand times smaller: 1e-4, 1e-5.
 *
 * @param options  `learningRate` η per step, a number or a schedule; `beta1` (0.9), `beta2` (0.999), `eps` (1e-8, unit of the
 *                 gradient: a layer whose gradients are smaller than it stops learning), `weightDecay` (0.01), `weightDecayMode`
 *                 (`coupled`), `peakLearningRate` ηₘₐₓ (what the schedule says of itself), `mask`, `learningRateScales`.
 * @throws ConfigError  if an option is out of range, a tree lacks a parameter, or an independent decay finds no peak.
 *
 * Source: Loshchilov & Hutter 2017, arXiv:1711.05101, algorithm 2: independent, as in arXiv:2309.14322, §3.2.2 and MosaicBERT,
 * arXiv:2312.17482. Coupled departs from the paper: the learning rate scales the decay, as in PyTorch and optax.
 */
export function adamw(
  { learningRate, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0.01, weightDecayMode = 'coupled', peakLearningRate, ...trees }: AdamwOptions,
): GradientTransform<AdamState> {
  checkLearningRate('adamw', learningRate);
  checkAdam('adamw', { beta1, beta2, eps });
  checkOneOf('adamw', 'weightDecayMode', weightDecayMode, ['coupled', 'independent']);
  const numbersOf = perParam('adamw', { weightDecay, ...trees });
  const peak = weightDecayMode === 'independent' ? peakOf('adamw', learningRate, peakLearningRate) : undefined;
  return Object.freeze({
    init: initAdam,
    update: (grads: Tree<Tensor>, state: AdamState, params: Tree<Variable>) => {
      const shared = {
        learningRate: perStep(() => learningRateAt('adamw', learningRate, state.count)), beta1, beta2, eps,
        ...biasCorrections(state, { beta1, beta2 }),
      };
      const updates = mapLists('adamw', params, { grads, mu: state.mu, nu: state.nu }, ({ paths, params: variables, lists }) => {
        const numbers = numbersOf(paths);
        const attrs = { ...shared, ...(peak === undefined ? numbers : independent(numbers, peak)) };
        return adamwStep({ param: variables, grad: lists.grads, mu: lists.mu as Variable[], nu: lists.nu as Variable[] }, attrs);
      });
      countStep(state);
      return updates;
    },
  });
}

/** Decays that, times learning rate and scale, are a share of the schedule alone. A parameter that does not learn does not decay either. */
const independent = ({ weightDecays, scales }: PerParamNumbers, peak: number): PerParamNumbers =>
  ({ scales, weightDecays: weightDecays.map((decay, i) => (scales[i] === 0 ? 0 : decay / (peak * (scales[i] as number)))) });

/** adamwStep — the updates of all parameters; brings `mu` and `nu` up to date. */
export function adamwStep(lists: AdamwLists, attrs: AdamwAttrs): Tensor[] {
  const written = [...lists.mu, ...lists.nu];
  if (!standOnce(written) || !hasListKernel('evenkeel/adamw')) return adamwReference(lists, attrs);
  unshare(written);
  return runListKernel('evenkeel/adamw', lists, attrs);
}

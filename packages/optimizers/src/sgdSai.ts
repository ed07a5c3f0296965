import { zeros, zerosLike, type Tensor, type Tensor1D, type Variable } from '@tensorflow/tfjs-core';
import {
  checkOneOf, checkPositive, checkProbability, ConfigError, perStep, stateVariable, treeLeaves, treeMap, treePaths, type GradientTransform, type Schedule, type Tree,
} from '@evenkeel/core-tensor';
import { countStep } from './countStep.ts';
import { gradientSnr, snrFactors } from './gradientSnr.ts';
import { checkLearningRate, learningRateAt } from './learningRate.ts';
import { mapLists } from './leaves.ts';
import { momentumStep } from './momentumStep.ts';
import { perParam, type PerParamOptions } from './perParam.ts';

/** SgdSaiState — steps done, the running mean of each gradient, and the ratios of all parameters in their order, 0 where not known yet. */
export type SgdSaiState = { count: number; mu: Tree<Variable>; gSnr: Variable };

export type SgdSaiOptions = PerParamOptions & {
  learningRate: number | Schedule;
  momentum?: number;
  weightDecay?: number;
  eps?: number;
  /** `max` (default): ratios over the largest, as in the paper; `none`: as they are, as in its published code. */
  normalize?: 'max' | 'none';
  /** Which variance the ratio divides by: of all elements (default, the paper), or over one less (its published code). */
  variance?: 'population' | 'sample';
};

/**
 * sgdSai — SGD with momentum and one fixed factor of the learning rate for each parameter, from its first gradient that is not zero:
 * half of AdamW's state.
 *
 *     ratio  = ‖g‖ / (std(g) + eps)                  once; factor = ratio / largest ratio
 *     mu     ← g in the first step, then momentum·mu + (1 − momentum)·g
 *     update = −η · scale · (factor · mu + weightDecay · param)
 *
 * Each parameter is one block, so a stacked `qkv` has another factor than three matrices. The ratio is √d · √(1 + mean²/variance) for d
 * elements, that is about √d: the factor hardly depends on the data. It does not depend on the gradient's size, which `update` still has.
 *
 * Nothing is read back: the ratios are a variable of the state, computed on the device in every step in which one is still missing, so
 * a captured step is the same from the first on. `gSnr(state)` reads them. The first batch should be a whole one.
 *
 * @param options  `learningRate` η per step, a number or a schedule: with `none` that of `max` over the largest ratio (about the root of
 *                 the largest parameter's size); `momentum` (0.9), `weightDecay` (0.01, times the learning rate but not the factor),
 *                 `eps` (1e-8, unit of the gradient), `normalize`, `variance`, `mask`, `learningRateScales`.
 * @throws ConfigError  if an option is out of range, or a tree lacks a parameter.
 *
 * Source: Xu et al. 2024, arXiv:2412.11768, algorithm 1. Departs from the paper: where the ratio would be infinite (one element, a constant
 * gradient) it is √d, and a parameter whose first gradients are zero gets its ratio later, where it would never be trained.
 */
export function sgdSai(
  { learningRate, momentum = 0.9, weightDecay = 0.01, eps = 1e-8, normalize = 'max', variance = 'population', ...trees }: SgdSaiOptions,
): GradientTransform<SgdSaiState> {
  checkLearningRate('sgdSai', learningRate);
  checkProbability('sgdSai', 'momentum', momentum);
  checkPositive('sgdSai', 'eps', eps);
  checkOneOf('sgdSai', 'normalize', normalize, ['max', 'none']);
  checkOneOf('sgdSai', 'variance', variance, ['population', 'sample']);
  const numbersOf = perParam('sgdSai', { weightDecay, ...trees });
  return Object.freeze({
    init: (params: Tree<Variable>) => ({
      count: 0, mu: treeMap((param) => stateVariable(() => zerosLike(param)), params), gSnr: stateVariable(() => zeros([treeLeaves(params).length])),
    }),
    update: (grads: Tree<Tensor>, state: SgdSaiState, params: Tree<Variable>) => {
      const rate = perStep(() => learningRateAt('sgdSai', learningRate, state.count));
      const take = perStep(() => (state.count === 0 ? 1 : 1 - momentum));
      const updates = mapLists('sgdSai', params, { grads, mu: state.mu }, ({ paths, params: variables, lists }) => {
        checkRatios(state.gSnr, paths.length);
        const ratios = gradientSnr(lists.grads, state.gSnr as unknown as Tensor1D, { eps, variance });
        const factors = snrFactors(ratios, variables.map(({ size }) => size), normalize);
        const step = momentumStep({ param: variables, grad: lists.grads, mu: lists.mu as Variable[], outFactor: [factors] },
          { learningRate: rate, keep: momentum, take, aheadKeep: momentum, aheadTake: take, ...numbersOf(paths) });
        state.gSnr.assign(ratios);
        return step;
      });
      countStep(state);
      return updates;
    },
  });
}

function checkRatios({ size }: Variable, count: number): void {
  if (size !== count) throw new ConfigError(`sgdSai: state.gSnr must have the ratios of ${count} parameters, got ${size}`);
}

/**
 * gSnr — the signal-to-noise ratio of each parameter's first gradient, by path; 0 where every gradient so far was zero.
 *
 * Reads the values back: for logs and tests.
 */
export async function gSnr({ gSnr: ratios, mu }: SgdSaiState): Promise<Record<string, number>> {
  const values = await ratios.data();
  return Object.fromEntries(treePaths(mu).map((path, i) => [path, values[i] as number]));
}

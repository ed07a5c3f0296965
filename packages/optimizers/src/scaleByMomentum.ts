import { clone, zerosLike, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkProbability, stateVariable, treeMap, type GradientTransform, type Tree } from '@evenkeel/core-tensor';
import { mapLists } from './leaves.ts';
import { addScaled, scaledSums } from './scaledSums.ts';

/** MomentumState — the decaying sum of gradients of every parameter. */
export type MomentumState = { mu: Tree<Variable> };

export type ScaleByMomentumOptions = { momentum?: number; nesterov?: boolean };

/**
 * scaleByMomentum — replaces each gradient by the decaying sum of all gradients so far.
 *
 *     mu ← momentum·mu + g        update = mu, or with Nesterov's look-ahead g + momentum·mu
 *
 * @param options  `momentum` (0.9) in [0, 1); `nesterov` (false).
 * @throws ConfigError  if `momentum` is outside [0, 1).
 *
 * Source: Sutskever et al. 2013, in the form PyTorch's SGD has with dampening 0 (optax calls it `trace`).
 */
export function scaleByMomentum({ momentum = 0.9, nesterov = false }: ScaleByMomentumOptions = {}): GradientTransform<MomentumState> {
  checkProbability('scaleByMomentum', 'momentum', momentum);
  return Object.freeze({
    init: (params: Tree<Variable>) => ({ mu: treeMap((param) => stateVariable(() => zerosLike(param)), params) }),
    update: (grads: Tree<Tensor>, state: MomentumState, params: Tree<Variable>) =>
      mapLists('scaleByMomentum', params, { grads, mu: state.mu }, ({ lists: { grads: xs, mu } }) => {
        // What can fail comes first, so that mu changes only if the update is there: g + momentum·(momentum·mu + g).
        const ahead = nesterov ? scaledSums({ xs, a: 1 + momentum, ys: mu, bs: mu.map(() => momentum ** 2) }) : undefined;
        addScaled(mu as Variable[], momentum, xs);
        return ahead ?? mu.map((each) => clone(each));
      }),
  });
}

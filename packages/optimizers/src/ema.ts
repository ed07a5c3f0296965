import { clone, tidy, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkProbability, stateVariable, treeEntries, treeMap, type LayerState, type Tree } from '@evenkeel/core-tensor';
import { leavesFor } from './leaves.ts';
import { addScaled } from './scaledSums.ts';

export type EmaOptions = { decay?: number };

/** Ema — a running mean of parameters; `init` and `update` are those of a LayerState, so it is saved as one. */
export type Ema = LayerState & {
  /** Exchanges the values of parameters and mean, e.g. for an evaluation; a second call undoes it. No number is copied. */
  swap(params: Tree<Variable>, mean: Tree<Variable>): void;
};

/**
 * ema — the exponential moving average of parameters, which often does better than the parameters themselves.
 *
 *     mean ← decay · mean + (1 − decay) · param        after every step; mean is param at the start
 *
 * The first 1/(1 − decay) steps weigh mostly the initial parameters. `train({ modelState: { values, update } })` keeps one:
 *
 *     const average = ema({ decay: 0.999 });
 *     const values = average.init(params);                // a tree in the structure of the parameters, yours to free
 *     applyUpdates(params, updates); average.update(params, values);
 *
 * @param options  `decay` (0.999) in [0, 1).
 * @returns        `init`, `update`, `swap`; update throws ConfigError or ShapeError if the trees do not fit.
 * @throws ConfigError  if `decay` is outside [0, 1).
 *
 * Source: Polyak & Juditsky 1992, in the form of Tarvainen & Valpola 2017, arXiv:1703.01780.
 */
export function ema({ decay = 0.999 }: EmaOptions = {}): Ema {
  checkProbability('ema', 'decay', decay);
  return Object.freeze({
    init: (params: Tree<Tensor>) => treeMap((param: Tensor) => stateVariable(() => clone(param)), params),
    update: (params: Tree<Tensor>, mean: Tree<Variable>) => {
      const { xs, ys } = matched(params, mean);
      addScaled(xs, decay, ys, 1 - decay);
    },
    swap: (params: Tree<Variable>, mean: Tree<Variable>) => {
      const { xs, ys } = matched(params, mean);
      xs.forEach((x, i) => tidy(() => {
        const held = clone(x);
        x.assign(ys[i] as Variable);
        (ys[i] as Variable).assign(held);
      }));
    },
  });
}

function matched(params: Tree<Tensor>, mean: Tree<Variable>): { xs: Variable[]; ys: Tensor[] } {
  const entries = treeEntries<Tensor>(params);
  return { xs: leavesFor('ema', 'mean', mean, entries) as Variable[], ys: entries.map(([, param]) => param) };
}

import { add, clone, div, maximum, scalar, tidy, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkProbability, stateVariable, treeEntries, treeMap, type LayerState, type Tree } from '@evenkeel/core-tensor';
import { leavesFor } from './leaves.ts';
import { addScaled, scaledSums } from './scaledSums.ts';

export type EmaOptions = {
  decay?: number;
  /** Begin with a smaller decay, so that the mean soon leaves the first parameters. */
  warmup?: boolean;
};

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
 * The first 1/(1 − decay) steps weigh mostly the initial parameters. With `warmup` the decay after t steps is min(decay, (1 + t)/(10 + t)), and
 * the values are `{ mean, steps }`: they also count the steps. `train({ modelState: { values, update } })` keeps one:
 *
 *     const average = ema({ decay: 0.999 });
 *     const values = average.init(params);                // a tree in the structure of the parameters, yours to free
 *     applyUpdates(params, updates); average.update(params, values);
 *
 * @param options  `decay` (0.999) in [0, 1); `warmup` (false).
 * @returns        `init`, `update`, `swap`; update throws ConfigError or ShapeError if the trees do not fit.
 * @throws ConfigError  if `decay` is outside [0, 1).
 *
 * Source: Polyak & Juditsky 1992, in the form of Tarvainen & Valpola 2017, arXiv:1703.01780; the warm-up is that of TensorFlow's ExponentialMovingAverage.
 */
export function ema({ decay = 0.999, warmup = false }: EmaOptions = {}): Ema {
  checkProbability('ema', 'decay', decay);
  const meanIn = (values: Tree<Variable>): Tree<Variable> => (warmup ? (values as Warming).mean : values);
  return Object.freeze({
    init: (params: Tree<Tensor>) => {
      const mean = treeMap((param: Tensor) => stateVariable(() => clone(param)), params);
      return warmup ? { mean, steps: stateVariable(() => scalar(0)) } : mean;
    },
    update: (params: Tree<Tensor>, values: Tree<Variable>) => {
      const { xs, ys } = matched(params, meanIn(values));
      if (warmup) warm(xs, ys, (values as Warming).steps, decay);
      else addScaled(xs, decay, ys, 1 - decay);
    },
    swap: (params: Tree<Variable>, values: Tree<Variable>) => {
      const { xs, ys } = matched(params, meanIn(values));
      xs.forEach((x, i) => tidy(() => {
        const held = clone(x);
        x.assign(ys[i] as Variable);
        (ys[i] as Variable).assign(held);
      }));
    },
  });
}

/** What follows the parameters with `warmup`. */
type Warming = { readonly mean: Tree<Variable>; readonly steps: Variable };

/** mean ← mean + max(1 − decay, 9/(10 + t)) · (param − mean); t is on the device, so that the step can be captured. */
function warm(means: readonly Variable[], params: readonly Tensor[], steps: Variable, decay: number): void {
  tidy(() => {
    const rate = maximum(1 - decay, div(9, add(10, steps)));
    const ones = means.map(() => 1);
    const gaps = scaledSums({ xs: params, a: 1, ys: means, b: -1, bs: ones });
    scaledSums({ xs: gaps, a: 1, factor: rate, ys: means, bs: ones }).forEach((sum, i) => (means[i] as Variable).assign(sum));
    steps.assign(add(steps, 1));
  });
}

function matched(params: Tree<Tensor>, mean: Tree<Variable>): { xs: Variable[]; ys: Tensor[] } {
  const entries = treeEntries<Tensor>(params);
  return { xs: leavesFor('ema', 'mean', mean, entries) as Variable[], ys: entries.map(([, param]) => param) };
}

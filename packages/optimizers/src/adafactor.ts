import { div, maximum, mul, sqrt, tidy, zeros, type Tensor, type Tensor1D, type Variable } from '@tensorflow/tfjs-core';
import {
  checkInteger, checkPositive, checkRange, currentNumber, derived, perStep, stateVariable, treeEntries, treeMap, type GradientTransform, type Schedule, type Tree,
} from '@evenkeel/core-tensor';
import { countStep } from './countStep.ts';
import { factoredRoots, rowColumnSquares } from './factored.ts';
import { checkLearningRate, learningRateAt } from './learningRate.ts';
import { leavesFor, mapLists } from './leaves.ts';
import { means, meanSquares } from './means.ts';
import { perParam, type PerParamOptions } from './perParam.ts';
import { addScaled, scaledSums } from './scaledSums.ts';

/** AdafactorState — steps done, and of each parameter's mean squared gradient the means of its rows and of its columns. */
export type AdafactorState = { count: number; row: Tree<Variable>; column: Tree<Variable> };

export type AdafactorOptions = PerParamOptions & {
  /** Per step; default the relative step min(0.01, 1/√t). */
  learningRate?: number | Schedule;
  /** Whether the learning rate is in units of each parameter's root mean square; default true. */
  relative?: boolean;
  decayRate?: number;
  clipThreshold?: number;
  eps?: number;
  minScale?: number;
  minDim?: number;
  weightDecay?: number;
};

/**
 * adafactor — gradients over the root of their mean square, of which a matrix keeps one number per row and column: a state of almost nothing.
 *
 *     v      ≈ row · column / mean(row),  both running means of g² + eps with decay 1 − t^−decayRate
 *     step   = g / √v, at most clipThreshold in root mean square
 *     update = −η · scale · (max(minScale, rms(param)) · step + weightDecay · param)        rms(param) with `relative` only
 *
 * @param options  `learningRate` η (min(0.01, 1/√t) at step t from 1), `relative` (true), `decayRate` (0.8), `clipThreshold` (1), `eps` (1e-30,
 *                 unit of g²), `minScale` (1e-3, so that a parameter of zeros can leave them), `minDim` (128: a matrix with fewer rows or
 *                 columns, like any vector, keeps its whole mean square), `weightDecay` (0, times the learning rate), `mask`, `learningRateScales`.
 * @throws ConfigError  if an option is out of range, or a tree lacks a parameter.
 *
 * Source: Shazeer & Stern 2018, arXiv:1804.04235, algorithm 4 without first moment. Departs from the paper: tensors of more than two
 * axes are matrices of their last axis; `weightDecay`, absent there.
 */
export function adafactor({
  learningRate = (step) => Math.min(1e-2, 1 / Math.sqrt(step + 1)), relative = true, decayRate = 0.8, clipThreshold = 1, eps = 1e-30, minScale = 1e-3, minDim = 128,
  weightDecay = 0, ...trees
}: AdafactorOptions = {}): GradientTransform<AdafactorState> {
  checkLearningRate('adafactor', learningRate);
  for (const [name, value] of Object.entries({ decayRate, clipThreshold, eps })) checkPositive('adafactor', name, value);
  checkRange('adafactor', 'minScale', minScale, 0, Number.MAX_VALUE);
  checkInteger('adafactor', 'minDim', minDim);
  const numbersOf = perParam('adafactor', { weightDecay, ...trees });
  const zerosOf = (lengthOf: (shape: readonly number[]) => number) => (params: Tree<Variable>) =>
    treeMap(({ shape }: Variable) => stateVariable(() => zeros([lengthOf(shape)])), params);
  return Object.freeze({
    init: (params: Tree<Variable>) => ({
      count: 0, row: zerosOf((shape) => sizeOf(shape) / columnsOf(shape, minDim))(params), column: zerosOf((shape) => columnsOf(shape, minDim))(params),
    }),
    update: (grads: Tree<Tensor>, state: AdafactorState, params: Tree<Variable>) => {
      const a = perStep(() => -learningRateAt('adafactor', learningRate, state.count));
      const fresh = perStep(() => (state.count + 1) ** -decayRate);
      const moments = momentsOf(state, params, minDim);
      const updates = mapLists('adafactor', params, { grads }, ({ paths, params: variables, lists: { grads: gs } }) => {
        const columns = variables.map(({ shape }) => columnsOf(shape, minDim));
        const now = rowColumnSquares(gs, columns, eps);
        addScaled([...moments.rows, ...moments.columns], derived([fresh], () => 1 - currentNumber(fresh)), [...now.rows, ...now.columns], fresh);
        const steps = factoredRoots(gs, { ...moments, rowMeans: means(moments.rows) });
        const factor = factorsOf(steps, relative ? variables : undefined, { clipThreshold, minScale });
        const { weightDecays, scales } = numbersOf(paths);
        return scaledSums({ xs: steps, a, as: scales, factor, ys: variables, b: a, bs: weightDecays.map((decay, i) => decay * (scales[i] as number)) });
      });
      countStep(state);
      return updates;
    },
  });
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);

/** The columns of a parameter seen as a matrix: its last axis if both sides are long enough to be worth it, else one row of everything. */
function columnsOf(shape: readonly number[], minDim: number): number {
  const size = sizeOf(shape);
  const last = shape.length > 1 ? shape[shape.length - 1] as number : 0;
  return last >= minDim && size / last >= minDim ? last : size;
}

/** The state's vectors in the order of the parameters. */
function momentsOf({ row, column }: AdafactorState, params: Tree<Variable>, minDim: number): { rows: Variable[]; columns: Variable[] } {
  const like = (lengthOf: (shape: readonly number[]) => number) => treeEntries<Variable>(params).map(([path, { shape }]) => [path, { shape: [lengthOf(shape)] }] as const);
  return {
    rows: leavesFor('adafactor', 'row', row, like((shape) => sizeOf(shape) / columnsOf(shape, minDim))) as Variable[],
    columns: leavesFor('adafactor', 'column', column, like((shape) => columnsOf(shape, minDim))) as Variable[],
  };
}

/** What each step is multiplied by: so that its root mean square is at most the threshold, and for `params` in units of theirs. */
function factorsOf(steps: readonly Tensor[], params: readonly Tensor[] | undefined, { clipThreshold, minScale }: { clipThreshold: number; minScale: number }): Tensor1D {
  return tidy(() => {
    const clipping = div(clipThreshold, maximum(sqrt(meanSquares(steps)), clipThreshold));
    return params === undefined ? clipping : mul(clipping, maximum(sqrt(meanSquares(params)), minScale));
  }) as Tensor1D;
}

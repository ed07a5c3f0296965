import { concat, slice, zerosLike, type Tensor, type Tensor2D, type Variable } from '@tensorflow/tfjs-core';
import {
  checkInteger, checkOneOf, checkProbability, checkShape, ConfigError, perStep, stateVariable, treeEntries, treeMap, type GradientTransform, type ParamSpec, type Schedule, type Tree,
} from '@evenkeel/core-tensor';
import { adamw, type AdamwOptions } from './adamw.ts';
import { countStep } from './countStep.ts';
import { checkLearningRate, learningRateAt } from './learningRate.ts';
import { argAt, leafOf, mapLists } from './leaves.ts';
import { momentumStep } from './momentumStep.ts';
import { orthogonalise } from './orthogonalise.ts';
import { partition, type PartitionState } from './partition.ts';
import { perParam, type PerParamOptions } from './perParam.ts';
import { scaledSums } from './scaledSums.ts';

/** MuonState — of the matrices: steps done, and the running mean of each gradient. */
export type MuonState = { count: number; mu: Tree<Variable> };

export type MuonOptions = PerParamOptions & {
  learningRate: number | Schedule;
  momentum?: number;
  nesterov?: boolean;
  /** Of the iteration that makes a step orthogonal. */
  steps?: number;
  weightDecay?: number;
  /** `adam` (default): steps as long as AdamW's, so that one learning rate serves both; `spectral`: of spectral norm √max(1, rows/columns). */
  scaling?: 'adam' | 'spectral';
  /** Options for all other parameters; learning rate, weight decay and trees default to those above. */
  adamw?: Partial<AdamwOptions>;
};

/**
 * muon — steps of hidden matrices whose singular values are all about the same; AdamW for everything else.
 *
 *     mu     ← momentum·mu + (1 − momentum)·g
 *     update = −η · scale · (length · orthogonalise(momentum·mu + (1 − momentum)·g) + weightDecay · param)
 *
 * with length = 0.2·√max(rows, columns) (`adam`) or √max(1, rows/columns) (`spectral`), and mu alone without `nesterov`. What `specs` call
 * hidden and has two axes is a matrix; one that consists of parts (q, k and v) is one matrix per part. Embeddings and heads are not.
 *
 * @param specs    `model.specs`.
 * @param options  `learningRate` η per step, a number or a schedule; `momentum` (0.95), `nesterov` (true), `steps` (5), `weightDecay`
 *                 (0.1, times the learning rate), `scaling` (`adam`), `adamw`, `mask`, `learningRateScales`.
 * @returns        an optimizer whose state has the groups `muon` and `adamw`.
 * @throws ConfigError  if an option is out of range, the parts of a matrix are not all of its rows, or a tree lacks a parameter.
 * @throws ShapeError   (by `init`) if a matrix does not have the shape of its spec.
 *
 * Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers"; `adam` and the decay: Liu et al. 2025, arXiv:2502.16982, §2.2.
 */
export function muon(specs: Tree<ParamSpec>, { adamw: rest = {}, ...options }: MuonOptions): GradientTransform<PartitionState> {
  const { learningRate, weightDecay = 0.1, mask, learningRateScales } = options;
  const groups = treeMap(({ role, shape }: ParamSpec) => (role === 'hidden' && shape.length === 2 ? 'muon' : 'adamw'), specs);
  return partition(groups, {
    muon: ofMatrices(specs, { ...options, weightDecay }),
    adamw: adamw({ learningRate, weightDecay, mask, learningRateScales, ...rest }),
  });
}

function ofMatrices(
  specs: Tree<ParamSpec>, { learningRate, momentum = 0.95, nesterov = true, steps = 5, weightDecay = 0, scaling = 'adam', ...trees }: Omit<MuonOptions, 'adamw'>,
): GradientTransform<MuonState> {
  checkLearningRate('muon', learningRate);
  checkProbability('muon', 'momentum', momentum);
  checkInteger('muon', 'steps', steps);
  checkOneOf('muon', 'scaling', scaling, ['adam', 'spectral']);
  checkParts(specs);
  const numbersOf = perParam('muon', { weightDecay, ...trees });
  const specOf = leafOf<ParamSpec>('muon', 'specs', specs);
  const moments = { keep: momentum, take: 1 - momentum, aheadKeep: nesterov ? momentum ** 2 : momentum, aheadTake: (1 - momentum) * (nesterov ? 1 + momentum : 1) };
  return Object.freeze({
    init: (params: Tree<Variable>) => {
      for (const [path, param] of treeEntries<Variable>(params)) checkShape('muon', argAt('params', path), param, specOf(path).shape);
      return { count: 0, mu: treeMap((param: Variable) => stateVariable(() => zerosLike(param)), params) };
    },
    update: (grads: Tree<Tensor>, state: MuonState, params: Tree<Variable>) => {
      const a = perStep(() => -learningRateAt('muon', learningRate, state.count));
      const updates = mapLists('muon', params, { grads, mu: state.mu }, ({ paths, params: variables, lists }) => {
        const none = paths.map(() => 0);
        const ahead = momentumStep({ param: variables, grad: lists.grads, mu: lists.mu as Variable[] },
          { learningRate: -1, ...moments, weightDecays: none, scales: paths.map(() => 1) });
        const { weightDecays, scales } = numbersOf(paths);
        const lengths = { adam: ([r, c]: Sides) => 0.2 * Math.sqrt(Math.max(r, c)), spectral: ([r, c]: Sides) => Math.sqrt(Math.max(1, r / c)) };
        const xs = inParts(ahead as Tensor2D[], paths.map((path) => specOf(path).parts), lengths[scaling], (matrices) => orthogonalise(matrices, { steps }));
        return scaledSums({ xs, a, as: scales, ys: variables, b: a, bs: weightDecays.map((decay, i) => decay * (scales[i] as number)) });
      });
      countStep(state);
      return updates;
    },
  });
}

/** A matrix is cut where its spec says: there must be as many rows. */
function checkParts(specs: Tree<ParamSpec>): void {
  for (const [path, { parts, shape: [rows] }] of treeEntries<ParamSpec>(specs)) {
    const total = parts?.reduce((sum, part) => sum + part, 0) ?? rows;
    if (total !== rows) throw new ConfigError(`muon: ${argAt('specs', path)} must have parts that add up to ${rows}, got ${parts?.join(' + ')}`);
  }
}

type Sides = readonly [rows: number, columns: number];

/** `f` of all matrices, each cut into the parts that its rows consist of, times a number by the shape of the part. */
function inParts(xs: readonly Tensor2D[], parts: readonly (readonly number[] | undefined)[], lengthOf: (sides: Sides) => number, f: (matrices: Tensor2D[]) => Tensor2D[]): Tensor[] {
  const cut = xs.map((x, i) => {
    const sizes = parts[i] ?? [x.shape[0]];
    let begin = 0;
    return sizes.map((rows) => slice(x, [(begin += rows) - rows, 0], [rows, x.shape[1]]));
  });
  const pieces = cut.flat();
  const scaled = scaledSums({ xs: f(pieces), a: 1, as: pieces.map(({ shape }) => lengthOf(shape)) }) as Tensor2D[];
  let next = 0;
  return cut.map(({ length }) => {
    const own = scaled.slice(next, next += length);
    return length === 1 ? own[0] as Tensor : concat(own, 0);
  });
}

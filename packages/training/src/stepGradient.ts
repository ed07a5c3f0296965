import { dispose, mul, slice, Tensor, tidy, add, type Scalar, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import {
  ConfigError, describeShape, foldSeed, ShapeError, treeEntries, treeMap, treeMap2, valueAndGrad,
  type ApplyOptions, type GradientMethod, type LayerState, type OptimizerState, type Seed, type StepNumber, type Tree,
} from '@evenkeel/core-tensor';
import type { LossScaler, LossScaleState } from '@evenkeel/optimizers';
import type { Watched } from './watching.ts';

/** StepContext — what the loss is told besides parameters and batch; hand it on to the model as its options. */
export type StepContext = Pick<ApplyOptions, 'state' | 'observe'> & {
  /** Steps done before this one: 0 in the first. A loss that reads it is not captured on devices that capture steps. */
  readonly step: number;
  /** All randomness of this step, for `foldSeed` and options named `seed`; differs from step to step, and from one micro-batch to the next. */
  readonly seed: Seed;
  readonly train: true;
};

/** ModelState — untrained values of a model, and how they follow its parameters: `{ values: model.state.init(params), update: model.state.update }`. */
export type ModelState = { readonly values: Tree<Variable>; readonly update: LayerState['update'] };

/** GradientOptions — what the gradient of a step depends on besides its batch. */
export type GradientOptions<P extends Tree<Variable>, B> = {
  params: P;
  loss: (params: P, batch: B, context: StepContext) => Tensor;
  /** Default `valueAndGrad`. */
  gradient?: GradientMethod;
  /** Into how many parts the batch is cut; default 1. */
  microBatches?: number;
  state: OptimizerState;
  /** Where the optimizer is one of `lossScaling`. */
  scaler?: LossScaler;
  modelState?: ModelState;
};

/** Place — which step it is, and its seed. */
export type Place = { readonly step: number | StepNumber; readonly seed: Seed };

/** LossAndGradient — of one step, times the loss scale if there is one; the caller's. */
export type LossAndGradient = { value: Scalar; grads: Tree<Tensor> };

/**
 * stepGradient — the loss of a batch and its gradient, by the method of the run.
 *
 * With micro-batches both are the means over the parts of the batch, computed one after the other: the activations of one part are alive
 * at a time, and the sum of the gradients. What is observed is that of the first part.
 *
 * @throws ConfigError  if a batch that is to be cut holds anything but tensors.
 * @throws ShapeError   if its tensors differ in the size of axis 0, or it is no multiple of the number of parts.
 */
export function stepGradient<P extends Tree<Variable>, B>(given: GradientOptions<P, B>, batch: B, at: Place, watch?: Watched): LossAndGradient {
  const { microBatches = 1 } = given;
  if (microBatches === 1) return gradientOf(given, batch, at, watch);
  const rows = rowsOf(batch as Tree<unknown>, microBatches);
  const seedOf = (part: number): Seed => foldSeed(at.seed, 'microBatch', part);
  return tidy('microBatches', (): TensorContainer => {
    const gradientAt = (part: number): LossAndGradient => tidy(() => gradientOf(
      given, partOf(batch as Tree<Tensor>, part * rows, rows) as B, { step: at.step, seed: seedOf(part) }, part === 0 ? watch : undefined,
    ) as TensorContainer) as LossAndGradient;
    let sum = gradientAt(0);
    for (let part = 1; part < microBatches; part++) sum = added(sum, gradientAt(part));
    return scaled(sum, 1 / microBatches) as TensorContainer;
  }) as unknown as LossAndGradient;
}

function gradientOf<P extends Tree<Variable>, B>({ params, loss, gradient = valueAndGrad, state, scaler, modelState }: GradientOptions<P, B>, batch: B, { step, seed }: Place, watch?: Watched): LossAndGradient {
  const options = { seed, train: true, state: modelState?.values, observe: watch?.observe };
  // Reading it in JavaScript ends a capture: so it is not among the properties that layers copy when they hand the options on.
  const context = Object.defineProperty(options, 'step', { get: () => Number(step), enumerable: false }) as unknown as StepContext;
  return gradient((leaves: P) => {
    const value = loss(leaves, batch, context);
    return scaler === undefined ? value : scaler.scaleLoss(value, state as LossScaleState);
  }, params);
}

/** How many rows a part has. */
function rowsOf(batch: Tree<unknown>, microBatches: number): number {
  const entries = treeEntries<unknown>(batch);
  let size: number | undefined;
  for (const [path, leaf] of entries) {
    const name = path === '' ? 'batches' : `batches.${path}`;
    if (!(leaf instanceof Tensor)) throw new ConfigError(`train: ${name} must be a tensor to be cut into ${microBatches} micro-batches, got ${leaf === null ? 'null' : typeof leaf}`);
    const [rows = 1] = leaf.shape;
    size ??= rows;
    if (leaf.rank === 0 || rows !== size || rows % microBatches !== 0) {
      const wanted = rows === size && leaf.rank > 0 ? `a first axis that is a multiple of microBatches = ${microBatches}` : `a first axis of ${size}, like the other tensors that are cut into micro-batches`;
      throw new ShapeError(`train: ${name} must have ${wanted}, got ${describeShape(leaf.shape)}`);
    }
  }
  if (size === undefined) throw new ConfigError(`train: batches must give tensors to be cut into ${microBatches} micro-batches, got none`);
  return size / microBatches;
}

const partOf = (batch: Tree<Tensor>, start: number, rows: number): Tree<Tensor> => treeMap((leaf) => slice(leaf, [start], [rows]), batch);

/** Leaf after leaf, so that no third copy of the gradients is ever alive. */
function added(sum: LossAndGradient, next: LossAndGradient): LossAndGradient {
  return treeMap2((a: Tensor, b: Tensor) => {
    const both = add(a, b);
    dispose([a, b]);
    return both;
  }, sum as unknown as Tree<Tensor>, next as unknown as Tree<Tensor>) as unknown as LossAndGradient;
}

function scaled(sum: LossAndGradient, factor: number): LossAndGradient {
  return treeMap((leaf: Tensor) => {
    const product = mul(leaf, factor);
    leaf.dispose();
    return product;
  }, sum as unknown as Tree<Tensor>) as unknown as LossAndGradient;
}

import { dispose, tidy, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { treeEntries, valueAndGrad, type GradientTransform, type OptimizerState, type Seed, type Tree } from '@evenkeel/core-tensor';
import { applyUpdates, globalNorm } from '@evenkeel/optimizers';
import { NonFiniteError } from './nonFiniteError.ts';

/** StepContext — what the loss is told besides parameters and batch. */
export type StepContext = {
  /** Steps done before this one: 0 in the first. A loss that reads it is not captured on devices that capture steps. */
  readonly step: number;
  /** All randomness of this step, for `foldSeed` and options named `seed`; differs from step to step. */
  readonly seed: Seed;
  readonly train: true;
};

export type Step<P extends Tree<Variable>, B> = {
  params: P;
  loss: (params: P, batch: B, context: StepContext) => Tensor;
  batch: B;
  context: StepContext;
  optimizer: GradientTransform;
  state: OptimizerState;
};

/**
 * runStep — forward, backward, check, update. The parameters change only if loss and gradient are finite.
 *
 * @returns the loss and the global norm of its gradient, before the update.
 * @throws NonFiniteError  naming the first parameter or gradient that is not finite.
 */
export async function runStep<P extends Tree<Variable>, B>({ params, loss, batch, context, optimizer, state }: Step<P, B>): Promise<{ loss: number; gradNorm: number }> {
  const { value, grads } = valueAndGrad((leaves) => loss(leaves, batch, context), params);
  let norm: Tensor | undefined;
  try {
    norm = globalNorm(grads);
    const [lossValue, gradNorm] = await Promise.all([readNumber(value), readNumber(norm)]);
    if (!Number.isFinite(lossValue)) throw await explain('loss', lossValue, context.step + 1, params, grads);
    if (!Number.isFinite(gradNorm)) throw await explain('gradient norm', gradNorm, context.step + 1, params, grads);
    tidy(() => applyUpdates(params, optimizer.update(grads, state, params)));
    return { loss: lossValue, gradNorm };
  } finally {
    dispose([value, norm, grads] as TensorContainer);
  }
}

async function readNumber(x: Tensor): Promise<number> {
  return (await x.data())[0] as number;
}

async function explain(
  quantity: 'loss' | 'gradient norm', value: number, step: number, params: Tree<Variable>, grads: Tree<Tensor>,
): Promise<NonFiniteError> {
  const param = await firstNonFinite(params);
  const path = param ?? await firstNonFinite(grads);
  const where = param !== undefined ? `Parameter ${param} is the first that is not finite.`
    : path !== undefined ? `All parameters are finite; the gradient of ${path} is the first that is not.`
      : 'All parameters and gradients are finite.';
  const help = 'A smaller learning rate, a longer warm-up or clipping usually helps.';
  return new NonFiniteError(`train: ${quantity} must be finite, got ${value} in step ${step}. ${where} ${help}`, { step, quantity, value, path });
}

/** firstNonFinite — the path of the first leaf with a NaN or an infinity in it; reads leaf after leaf, for use after a failure. */
async function firstNonFinite(tree: Tree<Tensor>): Promise<string | undefined> {
  for (const [path, leaf] of treeEntries<Tensor>(tree)) {
    if (!(await leaf.data<'float32'>()).every(Number.isFinite)) return path;
  }
  return undefined;
}

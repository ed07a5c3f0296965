import { dispose, tidy, Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import {
  canCapture, captureStep, ifFinite, treeEntries, treeLeaves, valueAndGrad, type GradientTransform, type OptimizerState, type Seed, type StepNumber, type Tree,
} from '@evenkeel/core-tensor';
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
  optimizer: GradientTransform;
  state: OptimizerState;
};

/** What is measured in a step: the loss and the global norm of its gradient, before the update. */
export type Measured = { loss: number; gradNorm: number };

/** StepRunner — does one step after the other; to be disposed. */
export type StepRunner<B> = { run(batch: B, at: { step: number; seed: number }): Promise<Measured>; dispose(): void };

/**
 * stepRunner — forward, backward, check, update. The parameters change only if loss and gradient are finite.
 *
 * On devices that can replay a step (`captureStep`) whose batch is made of tensors, the check is the device's and the whole step one
 * replay; elsewhere both numbers are read before the update.
 *
 * @returns `run` does a step; it throws NonFiniteError naming the first parameter or gradient that is not finite.
 */
export function stepRunner<P extends Tree<Variable>, B>(given: Step<P, B>): StepRunner<B> {
  const { params, loss, optimizer, state } = given;
  const captured = captureStep((batch: Tree<Tensor>, { step, seed }: { step: number | StepNumber; seed: number | StepNumber }) => {
    const context: StepContext = { seed, train: true, get step() { return Number(step); } }; // reading it in JavaScript ends the capture
    const { value, grads } = valueAndGrad((leaves) => loss(leaves, batch as B, context), params);
    const norm = globalNorm(grads);
    ifFinite([value, norm], () => applyUpdates(params, optimizer.update(grads, state, params)));
    return { loss: value, norm };
  });
  return {
    run: async (batch, { step, seed }) => {
      const context: StepContext = { step, seed, train: true };
      if (!canCapture() || !isTensors(batch) || captured.status().state === 'eager') return runEagerly(given, batch, context);
      const { loss: value, norm } = captured(batch, { step, seed });
      const measured = await readBoth(value, norm).finally(() => dispose([value, norm]));
      if (!isFinite(measured)) return runEagerly(given, batch, context); // which fails in the same way, and says where
      return measured;
    },
    dispose: () => captured.dispose(),
  };
}

const isFinite = ({ loss, gradNorm }: Measured): boolean => Number.isFinite(loss) && Number.isFinite(gradNorm);

function isTensors(batch: unknown): batch is Tree<Tensor> {
  const leaves = treeLeaves<unknown>(batch as Tree<unknown>);
  return leaves.length > 0 && leaves.every((leaf) => leaf instanceof Tensor);
}

async function readBoth(loss: Tensor, norm: Tensor): Promise<Measured> {
  const [lossValue, gradNorm] = await Promise.all([readNumber(loss), readNumber(norm)]);
  return { loss: lossValue, gradNorm };
}

async function runEagerly<P extends Tree<Variable>, B>({ params, loss, optimizer, state }: Step<P, B>, batch: B, context: StepContext): Promise<Measured> {
  const { value, grads } = valueAndGrad((leaves) => loss(leaves, batch, context), params);
  let norm: Tensor | undefined;
  try {
    norm = globalNorm(grads);
    const measured = await readBoth(value, norm);
    if (!Number.isFinite(measured.loss)) throw await explain('loss', measured.loss, context.step + 1, params, grads);
    if (!Number.isFinite(measured.gradNorm)) throw await explain('gradient norm', measured.gradNorm, context.step + 1, params, grads);
    tidy(() => applyUpdates(params, optimizer.update(grads, state, params)));
    return measured;
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

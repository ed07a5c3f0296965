import { dispose, tidy, Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import {
  canCapture, captureStep, ifFinite, treeEntries, treeLeaves, valueAndGrad, type GradientTransform, type OptimizerState, type Seed, type StepNumber, type Tree,
} from '@evenkeel/core-tensor';
import { applyUpdates, globalNorm, type LossScaler, type LossScaleState } from '@evenkeel/optimizers';
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
  /** Whether steps may be replayed; default true. */
  capture?: boolean;
  /** Where the optimizer is one of `lossScaling`. */
  scaler?: LossScaler;
};

/** What is measured in a step: the loss and the global norm of its gradient, before the update. */
export type Measured = { loss: number; gradNorm: number };

/** StepRunner — does one step after the other; to be disposed. */
export type StepRunner<B> = { run(batch: B, at: { step: number; seed: number }): Promise<Measured>; dispose(): void };

/**
 * stepRunner — forward, backward, check, update. The parameters change only if loss and gradient are finite; with a loss scale a step
 * that overflowed is done again at half of it.
 *
 * On devices that can replay a step (`captureStep`) whose batch is made of tensors, the check is the device's and the whole step one
 * replay; elsewhere both numbers are read before the update.
 *
 * @returns `run` does a step; it throws NonFiniteError naming the first parameter or gradient that is not finite.
 */
export function stepRunner<P extends Tree<Variable>, B>(given: Step<P, B>): StepRunner<B> {
  const { params, optimizer, state, scaler, capture = true } = given;
  let wasSkipped = false;
  const captured = captureStep((batch: Tree<Tensor>, { step, seed }: { step: number | StepNumber; seed: number | StepNumber }) => {
    const context: StepContext = { seed, train: true, get step() { return Number(step); } }; // reading it in JavaScript ends the capture
    const { value, grads } = gradientsOf(given, batch as B, context);
    const norm = globalNorm(grads);
    wasSkipped = true;
    ifFinite([value, norm], () => {
      wasSkipped = false;
      applyUpdates(params, optimizer.update(grads, state, params));
    }, 'skip');
    return { loss: value, norm };
  });
  const attempt = async (batch: B, at: { step: number; seed: number }): Promise<Measured> => {
    if (!capture || !canCapture() || !isTensors(batch) || captured.status().state === 'eager') return attemptEagerly(given, batch, { ...at, train: true });
    const counters = countersOf(state);
    wasSkipped = false;
    const { loss: value, norm } = captured(batch, at);
    if (wasSkipped) { // it turned out that the device cannot check it
      dispose([value, norm]);
      return attemptEagerly(given, batch, { ...at, train: true });
    }
    const measured = await readBoth(given, value, norm).finally(() => dispose([value, norm]));
    if (!isFinite(measured)) restore(counters); // the device has left tensors alone, but JavaScript has counted the step
    return measured;
  };
  return {
    run: async (batch, at) => {
      for (;;) {
        const measured = await attempt(batch, at);
        if (isFinite(measured)) {
          scaler?.adjust(state as LossScaleState, true);
          return measured;
        }
        if (scaler?.adjust(state as LossScaleState, false) !== true) throw await failure(given, batch, { ...at, train: true }, measured);
      }
    },
    dispose: () => captured.dispose(),
  };
}

function gradientsOf<P extends Tree<Variable>, B>({ params, loss, state, scaler }: Step<P, B>, batch: B, context: StepContext): { value: Tensor; grads: Tree<Tensor> } {
  return valueAndGrad((leaves) => {
    const value = loss(leaves, batch, context);
    return scaler === undefined ? value : scaler.scaleLoss(value, state as LossScaleState);
  }, params) as { value: Tensor; grads: Tree<Tensor> };
}

/** The numbers of a state, by the objects that hold them. */
function countersOf(state: object): [holder: Record<string, unknown>, key: string, value: number][] {
  return Object.entries(state).flatMap(([key, value]: [string, unknown]) => {
    if (typeof value === 'number') return [[state as Record<string, unknown>, key, value] as [Record<string, unknown>, string, number]];
    return typeof value === 'object' && value !== null && !(value instanceof Tensor) ? countersOf(value) : [];
  });
}

function restore(counters: ReturnType<typeof countersOf>): void {
  for (const [holder, key, value] of counters) holder[key] = value;
}

const isFinite = ({ loss, gradNorm }: Measured): boolean => Number.isFinite(loss) && Number.isFinite(gradNorm);

function isTensors(batch: unknown): batch is Tree<Tensor> {
  const leaves = treeLeaves<unknown>(batch as Tree<unknown>);
  return leaves.length > 0 && leaves.every((leaf) => leaf instanceof Tensor);
}

/** Of the loss itself: the factors of a loss scale are powers of two, so nothing is lost. */
async function readBoth<P extends Tree<Variable>, B>({ state, scaler }: Step<P, B>, loss: Tensor, norm: Tensor): Promise<Measured> {
  const scale = scaler === undefined ? 1 : (state as LossScaleState).scale;
  const [lossValue, gradNorm] = await Promise.all([readNumber(loss), readNumber(norm)]);
  return { loss: lossValue / scale, gradNorm: gradNorm / scale };
}

async function attemptEagerly<P extends Tree<Variable>, B>(given: Step<P, B>, batch: B, context: StepContext): Promise<Measured> {
  const { params, optimizer, state } = given;
  const { value, grads } = gradientsOf(given, batch, context);
  const norm = globalNorm(grads);
  try {
    const measured = await readBoth(given, value, norm);
    if (isFinite(measured)) tidy(() => applyUpdates(params, optimizer.update(grads, state, params)));
    return measured;
  } finally {
    dispose([value, norm, grads] as TensorContainer);
  }
}

/** What was wrong with a step, found by computing its gradients once more. */
async function failure<P extends Tree<Variable>, B>(given: Step<P, B>, batch: B, context: StepContext, { loss, gradNorm }: Measured): Promise<NonFiniteError> {
  const { value, grads } = gradientsOf(given, batch, context);
  try {
    return await (Number.isFinite(loss) ? explain('gradient norm', gradNorm, context.step + 1, given.params, grads) : explain('loss', loss, context.step + 1, given.params, grads));
  } finally {
    dispose([value, grads] as TensorContainer);
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

import { dispose, tidy, Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import {
  canCapture, captureStep, ifFinite, treeEntries, treeLeaves, valueAndGrad,
  type ApplyOptions, type GradientTransform, type LayerState, type Monitor, type OptimizerState, type Seed, type StepNumber, type Tree,
} from '@evenkeel/core-tensor';
import { applyUpdates, globalNorm, type LossScaler, type LossScaleState } from '@evenkeel/optimizers';
import { NonFiniteError } from './nonFiniteError.ts';
import { freeWatched, isReadingDue, readValues, watched, type Watched } from './watching.ts';

/** StepContext — what the loss is told besides parameters and batch; hand it on to the model as its options. */
export type StepContext = Pick<ApplyOptions, 'state' | 'observe'> & {
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
  /** Untrained values of the model, and what brings them up to date after each update of the parameters. */
  modelState?: ModelState;
  monitor?: Monitor;
};

/** ModelState — untrained values of a model, and how they follow its parameters: `{ values: model.state.init(params), update: model.state.update }`. */
export type ModelState = { readonly values: Tree<Variable>; readonly update: LayerState['update'] };

/** What is measured in a step: the loss and the global norm of its gradient, before the update; what a monitor read. */
export type Measured = { loss: number; gradNorm: number; values?: Readonly<Record<string, readonly number[]>> };

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
  const { state, scaler, capture = true } = given;
  let wasSkipped = false;
  const captured = captureStep((batch: Tree<Tensor>, { step, seed }: { step: number | StepNumber; seed: number | StepNumber }) => {
    const context = { seed, train: true as const, get step() { return Number(step); } }; // reading it in JavaScript ends the capture
    const watch = given.monitor && watched(given.monitor); // in every step, so that all are the same; it is read when it is due
    const { value, grads } = gradientsOf(given, batch as B, context, watch);
    const norm = globalNorm(grads);
    wasSkipped = true;
    ifFinite([value, norm], () => {
      wasSkipped = false;
      update(given, grads, watch);
    }, 'skip');
    return { loss: value, norm, watched: { ...watch?.tensors } };
  });
  const attempt = async (batch: B, at: { step: number; seed: number }): Promise<Measured> => {
    if (!capture || !canCapture() || !isTensors(batch) || captured.status().state === 'eager') return attemptEagerly(given, batch, { ...at, train: true });
    const counters = countersOf(state);
    wasSkipped = false;
    const { loss: value, norm, watched: tensors } = captured(batch, at);
    if (wasSkipped) { // it turned out that the device cannot check it
      dispose([value, norm]);
      freeWatched(tensors);
      return attemptEagerly(given, batch, { ...at, train: true });
    }
    const measured = await readStep(given, { value, norm, tensors: isDue(given, at) ? tensors : {} }).finally(() => {
      dispose([value, norm]);
      freeWatched(tensors);
    });
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

function gradientsOf<P extends Tree<Variable>, B>(
  { params, loss, state, scaler, modelState }: Step<P, B>, batch: B, context: StepContext, watch?: Watched,
): { value: Tensor; grads: Tree<Tensor> } {
  const call = Object.assign(context, { state: modelState?.values, observe: watch?.observe }); // not a copy: reading its `step` means something
  return valueAndGrad((leaves) => {
    const value = loss(leaves, batch, call);
    return scaler === undefined ? value : scaler.scaleLoss(value, state as LossScaleState);
  }, params) as { value: Tensor; grads: Tree<Tensor> };
}

/** Changes the parameters, and what follows them. */
function update<P extends Tree<Variable>, B>({ params, optimizer, state, modelState }: Step<P, B>, grads: Tree<Tensor>, watch: Watched | undefined): void {
  const updates = optimizer.update(grads, state, params);
  watch?.measure({ params, grads, updates });
  applyUpdates(params, updates);
  modelState?.update(params, modelState.values);
}

const isDue = <P extends Tree<Variable>, B>({ monitor }: Step<P, B>, { step }: { step: number }): boolean => monitor !== undefined && isReadingDue(monitor, step);

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

/** The numbers of a step; what was watched only if the step is one that counts. */
async function readStep<P extends Tree<Variable>, B>(given: Step<P, B>, { value, norm, tensors }: { value: Tensor; norm: Tensor; tensors: Watched['tensors'] }): Promise<Measured> {
  const measured = await readBoth(given, value, norm);
  return Object.keys(tensors).length > 0 && isFinite(measured) ? { ...measured, values: await readValues(given.monitor as Monitor, tensors) } : measured;
}

async function attemptEagerly<P extends Tree<Variable>, B>(given: Step<P, B>, batch: B, context: StepContext): Promise<Measured> {
  const watch = isDue(given, context) ? watched(given.monitor as Monitor) : undefined;
  const made: Tensor[] = [];
  let grads: Tree<Tensor> | undefined;
  try {
    const computed = gradientsOf(given, batch, context, watch);
    ({ grads } = computed);
    const norm = globalNorm(grads);
    made.push(computed.value, norm);
    const measured = await readBoth(given, computed.value, norm);
    if (!isFinite(measured)) return measured;
    tidy(() => update(given, grads as Tree<Tensor>, watch));
    return watch === undefined ? measured : { ...measured, values: await readValues(given.monitor as Monitor, watch.tensors) };
  } finally {
    dispose([made, grads ?? []] as TensorContainer);
    freeWatched(watch?.tensors ?? {});
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

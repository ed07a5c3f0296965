import { dispose, tidy, Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { canCapture, captureStep, ifFinite, treeLeaves, type GradientTransform, type Monitor, type Reading, type Seed, type StepNumber, type Tree } from '@evenkeel/core-tensor';
import { applyUpdates, globalNorm, type LossScaleState } from '@evenkeel/optimizers';
import { explainFailure, type MonitorFindings } from './explainFailure.ts';
import { stepGradient, type GradientOptions } from './stepGradient.ts';
import { freeWatched, isReadingDue, readValues, watched, type Watched } from './watching.ts';

export type Step<P extends Tree<Variable>, B> = GradientOptions<P, B> & {
  optimizer: GradientTransform;
  /** Whether steps may be replayed; default true. */
  capture?: boolean;
  monitor?: Monitor;
  /** What the monitor says of a step that failed. */
  findingsAbout?: (reading: Reading) => MonitorFindings | undefined;
};

/** What is measured in a step: the loss and the global norm of its gradient, before the update; what a monitor read. */
export type Measured = { loss: number; gradNorm: number; values?: Readonly<Record<string, readonly number[]>> };

/** At — the step, counted from 0, and its seed. */
export type At = { readonly step: number; readonly seed: number };

/** StepRunner — does one step after the other; to be disposed. */
export type StepRunner<B> = { run(batch: B, at: At): Promise<Measured>; dispose(): void };

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
  const captured = captureStep((batch: Tree<Tensor>, { step, seed }: { step: number | StepNumber; seed: Seed }) => {
    const watch = given.monitor && watched(given.monitor); // in every step, so that all are the same; it is read when it is due
    const { value, grads } = stepGradient(given, batch as B, { step, seed }, watch);
    const norm = globalNorm(grads);
    wasSkipped = !ifFinite([value, norm], () => update(given, grads, watch), 'skip');
    return { loss: value, norm, watched: { ...watch?.tensors } };
  });
  const attempt = async (batch: B, at: At): Promise<Measured> => {
    if (!capture || !canCapture() || !isTensors(batch) || captured.status().state === 'eager') return attemptEagerly(given, batch, at);
    const counters = countersOf(state);
    wasSkipped = false;
    const { loss: value, norm, watched: tensors } = captured(batch, at);
    if (wasSkipped) { // it turned out that the device cannot check it
      dispose([value, norm]);
      freeWatched(tensors);
      restore(counters); // an update that was begun has counted
      return attemptEagerly(given, batch, at);
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
        if (scaler?.adjust(state as LossScaleState, false) !== true) throw await explainFailure(given, batch, at, measured);
      }
    },
    dispose: () => captured.dispose(),
  };
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

async function attemptEagerly<P extends Tree<Variable>, B>(given: Step<P, B>, batch: B, at: At): Promise<Measured> {
  const watch = isDue(given, at) ? watched(given.monitor as Monitor) : undefined;
  const made: Tensor[] = [];
  let grads: Tree<Tensor> | undefined;
  try {
    const computed = stepGradient(given, batch, at, watch);
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

async function readNumber(x: Tensor): Promise<number> {
  return (await x.data())[0] as number;
}

import { Tensor, type Variable } from '@tensorflow/tfjs-core';
import { foldSeed, kernelTuning, treeLeaves, type Monitor, type OptimizerState, type Reading, type Schedule, type Tree } from '@evenkeel/core-tensor';
import { saveCheckpoint } from './checkpoints.ts';
import type { MonitorFindings } from './explainFailure.ts';
import { remember, type History } from './history.ts';
import { appendMetrics, type EvalMetrics, type MonitorMetrics, type StepMetrics } from './metrics.ts';
import { NonFiniteError } from './nonFiniteError.ts';
import { stepRunner, type StepRunner } from './runStep.ts';
import type { Evaluation, Settings } from './trainOptions.ts';
import { yieldToEvents } from './yieldToEvents.ts';

/** Position — how far a run has come, what it measured on the way, its last checkpoint, and those that it found damaged. */
export type Position = { step: number; history: History; checkpoint: string | undefined; readonly damaged: readonly string[] };

/**
 * runSteps — steps until the last or until the signal; evaluations, metrics and checkpoints where they are due.
 *
 * The metrics of a step are written before its checkpoint, so a checkpoint never knows more than the metrics do. Kernels are timed after
 * the first step alone, and a checkpoint knows which were taken: a resumed run takes the same.
 */
export async function runSteps<P extends Tree<Variable>, B>(settings: Settings<P, B>, optimizer: OptimizerState, from: Position): Promise<Position> {
  const { steps, store, signal, evaluate, evalEvery, checkpointEvery } = settings;
  const position = { step: from.step, history: from.history, checkpoint: from.checkpoint, damaged: from.damaged };
  let isSaved = from.checkpoint !== undefined;
  const runner = stepRunner({ ...settings, state: optimizer, findingsAbout: (reading) => findingsAbout(settings, reading, position.history) });
  const isDue = (every: number): boolean => position.step % every === 0 || position.step === steps;
  try {
    while (position.step < steps && signal?.aborted !== true) {
      await takeStep(settings, runner, position);
      if (position.step === 1) await kernelTuning()?.tune({ onTuned: settings.callbacks.onTuned, signal });
      if (evaluate !== undefined && isDue(evalEvery)) await takeEvaluation(settings, evaluate, position);
      isSaved = store !== undefined && isDue(checkpointEvery);
      if (isSaved) await takeCheckpoint(settings, optimizer, position);
      await yieldToEvents();
    }
  } finally {
    runner.dispose();
  }
  if (!isSaved) await takeCheckpoint(settings, optimizer, position);
  return position;
}

async function takeStep<P extends Tree<Variable>, B>(settings: Settings<P, B>, runner: StepRunner<B>, position: Position): Promise<void> {
  const { seed, learningRate, tokensPerStep, store, callbacks } = settings;
  const { step } = position;
  const startedAt = performance.now();
  const batch = await settings.batches(step);
  const { values, ...measured } = await runner.run(batch, { step, seed: foldSeed(seed, 'step', step) }).finally(() => freeBatch(batch));
  const msPerStep = performance.now() - startedAt;
  const metrics: StepMetrics = {
    kind: 'step', step: step + 1, ...measured,
    ...(learningRate === undefined ? {} : { learningRate: at(learningRate, step) }),
    msPerStep,
    ...(tokensPerStep === undefined ? {} : { tokensPerSecond: (1000 * at(tokensPerStep, step)) / msPerStep }),
  };
  position.step += 1;
  remember(position.history, metrics);
  if (store !== undefined) await appendMetrics(store, metrics);
  await callbacks.onStep?.(metrics);
  if (values !== undefined) await takeReading(settings, { step: metrics.step, ...measured, values }, position);
}

const at = (value: number | Schedule, step: number): number => (typeof value === 'function' ? value(step) : value);

/** What the monitor says of a step that failed or, if that is nothing, said last. */
function findingsAbout({ monitor }: { monitor?: Monitor }, reading: Reading, { readings, found }: History): MonitorFindings | undefined {
  try {
    const findings = monitor?.judge?.(reading, readings) ?? [];
    return findings.length > 0 ? { step: reading.step, findings } : found;
  } catch {
    return found; // values that are not finite are too much for it; the failure is what to tell
  }
}

async function takeReading<P extends Tree<Variable>, B>({ monitor, store, callbacks }: Settings<P, B>, reading: Reading, { history }: Position): Promise<void> {
  const findings = monitor?.judge?.(reading, history.readings) ?? [];
  history.readings.push(reading);
  const metrics: MonitorMetrics = { kind: 'monitor', step: reading.step, values: reading.values, findings };
  remember(history, metrics);
  if (store !== undefined) await appendMetrics(store, metrics);
  await callbacks.onReading?.(metrics);
}

/** The batch is the loop's: every tensor in it is freed; typed arrays are left to the garbage collector. */
function freeBatch(batch: unknown): void {
  for (const leaf of treeLeaves<unknown>(batch as Tree<unknown>)) if (leaf instanceof Tensor && !leaf.isDisposed) leaf.dispose();
}

async function takeEvaluation<P extends Tree<Variable>, B>(
  { store, callbacks }: Settings<P, B>, evaluate: () => Promise<number | Evaluation>, position: Position,
): Promise<void> {
  const { step } = position;
  const evaluated = await evaluate();
  const { loss: valLoss, values }: Evaluation = typeof evaluated === 'number' ? { loss: evaluated } : evaluated;
  if (!Number.isFinite(valLoss)) {
    throw new NonFiniteError(`train: validation loss must be finite, got ${valLoss} after step ${step}`, { step, quantity: 'validation loss', value: valLoss });
  }
  const metrics: EvalMetrics = { kind: 'eval', step, valLoss, ...(values && { values }) };
  remember(position.history, metrics);
  if (store !== undefined) await appendMetrics(store, metrics);
  await callbacks.onEval?.(metrics);
}

async function takeCheckpoint<P extends Tree<Variable>, B>(settings: Settings<P, B>, optimizer: OptimizerState, position: Position): Promise<void> {
  const { store, params, modelState, seed, config, keepCheckpoints, callbacks } = settings;
  if (store === undefined) return;
  const { step } = position;
  position.checkpoint = await saveCheckpoint(store, { trained: { params, optimizer, ...(modelState && { state: modelState.values }) }, step, seed, config }, keepCheckpoints, position.damaged);
  await callbacks.onCheckpoint?.({ step, path: position.checkpoint });
}

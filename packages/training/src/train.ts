import { dispose, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { ConfigError, type OptimizerState, type Tree } from '@evenkeel/core-tensor';
import { listCheckpoints } from './checkpoints.ts';
import { historyOf, missingSteps, summaryOf } from './history.ts';
import { runSteps, type Position } from './loop.ts';
import { cutMetrics, METRICS_PATH } from './metrics.ts';
import { watchPeakBytes } from './peakBytes.ts';
import { resume } from './resume.ts';
import type { RunStore } from './runStore.ts';
import type { Spread } from './spread.ts';
import { withDefaults, type Settings, type TrainOptions } from './trainOptions.ts';

export type TrainResult = {
  /** Steps done, those before a resumption included. */
  readonly steps: number;
  /** Mean loss of the last 20 steps; NaN if none has been measured: no step was done, or the metrics of all were lost. */
  readonly trainLoss: number;
  /** The last validation loss; undefined without `evaluate`. */
  readonly valLoss: number | undefined;
  /** Milliseconds from asking for the batch to the updated parameters, over all steps; 0 if there was none. */
  readonly msPerStep: Spread;
  /** Most bytes of tensors alive at once, whoever made them. */
  readonly peakBytes: number;
  readonly interrupted: boolean;
  /** The step of the checkpoint that the run went on from. */
  readonly resumedFrom: number | undefined;
  /** Path of the last checkpoint in the store. */
  readonly checkpoint: string | undefined;
};

/**
 * train — runs an optimizer on a loss: steps, evaluations, metrics, checkpoints, resumption.
 *
 * Frees everything it makes and every batch, also when something throws. Everything random comes from (seed, step), so a run
 * that was killed and resumed gives the same metrics, bit for bit, as one that was not; only the timings differ.
 *
 * @throws NonFiniteError  if a loss, a gradient norm, a parameter to be saved or a validation loss is NaN or infinite. The
 *                         parameters are those before the failing step; checkpoints written before are intact.
 * @throws ConfigError     if an option is out of range, the store has checkpoints but `resume` is not set, its checkpoints are of
 *                         another seed, configuration or model, another run is using it, or the storage fails.
 */
export async function train<P extends Tree<Variable>, B>(options: TrainOptions<P, B>): Promise<TrainResult> {
  const settings = withDefaults(options);
  const release = await options.store?.lock?.();
  const memory = watchPeakBytes();
  let optimizerState: OptimizerState | undefined;
  try {
    optimizerState = settings.optimizer.init(options.params);
    const started = await start(settings, optimizerState);
    const run = await runSteps(settings, started.optimizer, started);
    return { ...summaryOf(run.history), steps: run.step, interrupted: run.step < options.steps, peakBytes: memory.peak(),
      resumedFrom: started.resumedFrom, checkpoint: run.checkpoint };
  } finally {
    memory.stop();
    dispose(optimizerState as TensorContainer);
    await release?.();
  }
}

type Started = Position & { optimizer: OptimizerState; resumedFrom: number | undefined };

async function start<P extends Tree<Variable>, B>(settings: Settings<P, B>, optimizer: OptimizerState): Promise<Started> {
  const { store, params, modelState, seed, config, steps, callbacks } = settings;
  const fresh = { step: 0, history: historyOf([]), optimizer, resumedFrom: undefined, checkpoint: undefined, damaged: [] };
  if (store === undefined) return fresh;
  const resumed = settings.resume === true ? await resume(store, { trained: { params, optimizer, ...(modelState && { state: modelState.values }) }, seed, config }) : await refuseToOverwrite(store);
  if (resumed === undefined) {
    await store.writeText(METRICS_PATH, '');
    return fresh;
  }
  if (resumed.step > steps) throw new ConfigError(`train: steps must be at least the ${resumed.step} that ${resumed.path} has done, got ${steps}`);
  const metrics = await cutMetrics(store, resumed.step);
  const { step, path, skipped } = resumed;
  await callbacks.onResume?.({ step, path, skipped, missingMetrics: missingSteps(metrics, step) });
  return { step, history: historyOf(metrics), optimizer: resumed.optimizer, resumedFrom: step, checkpoint: path, damaged: skipped.map((each) => each.path) };
}

async function refuseToOverwrite(store: RunStore): Promise<undefined> {
  const [newest] = await listCheckpoints(store);
  if (newest === undefined) return;
  throw new ConfigError(`train: store must be empty unless resume is true, got a run with a checkpoint of step ${newest}. Resume it or choose another place.`);
}

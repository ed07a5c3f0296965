import { join } from 'node:path';
import type { Variable } from '@tensorflow/tfjs-core';
import type { Device, Tree } from '@evenkeel/core-tensor';
import { monitor, type Watch } from '@evenkeel/diagnostics';
import { directoryStore, readMetrics, train, writeReport, type ReportOptions, type RunStore, type TrainCallbacks, type TrainOptions, type TrainResult } from '@evenkeel/training';
import { InterruptedError } from './errors.ts';
import { wrap } from './format.ts';
import { listenForInterrupt } from './interrupt.ts';
import type { Io } from './output.ts';
import { PROGRAM, shellWord } from './programName.ts';
import type { Progress } from './progress.ts';
import { decisive, type RunSettings } from './runSettings.ts';
import type { AnyFamily, Task } from './task.ts';

/** TrainingRun — everything that training needs, ready. */
export type TrainingRun = {
  readonly family: Pick<AnyFamily, 'command' | 'title' | 'subtitle' | 'listed' | 'perplexity' | 'later'>;
  readonly directory: string;
  readonly settings: RunSettings;
  readonly task: Task;
  readonly device: Device;
  /** Records settings that were changed on resuming, once the checkpoint has accepted them. */
  readonly accepted?: () => Promise<void>;
};

/**
 * runTraining — all steps of a run, with checkpoints and the model in its directory.
 *
 * @throws InterruptedError  if the user stopped it; checkpoint, model and report are written then.
 * @throws                   any other error says which checkpoint is intact.
 */
export async function runTraining(run: TrainingRun, { resume, io }: { resume: boolean; io: Io }): Promise<TrainResult> {
  const { family, directory, task, settings, settings: { steps, evalEvery, checkpointEvery } } = run;
  const watch = watcher(run, io);
  const interrupt = listenForInterrupt(() => {
    watch.stop();
    io.line('\nStopping after this step, with a checkpoint …');
  });
  try {
    const options = trainOptions(task, settings, { later: family.later, store: directoryStore(directory) });
    const result = await train({ ...options, evalEvery, checkpointEvery, resume, signal: interrupt.signal, callbacks: watch.callbacks });
    if (watch.modelStep() !== result.steps) await task.save(directory); // stopped between state and model the last time
    if (!result.interrupted) return result;
    await writeRunReport(run, { result });
    throw new InterruptedError(`stopped after step ${result.steps} of ${steps}; go on with: ${PROGRAM} ${family.command} --out ${shellWord(directory)} --resume`, interrupt.received() ?? 'SIGINT');
  } catch (error) {
    if (error instanceof InterruptedError) throw error;
    watch.stop();
    if (watch.hasBegun()) await writeRunReport(run, {}).catch(() => undefined); // the first error is the one to tell
    throw await withCheckpoint(error, watch.checkpointStep(), directory);
  } finally {
    interrupt.release();
    watch.stop();
  }
}

/**
 * trainOptions — what `train()` needs of a run: all that decides its numbers.
 *
 * @param watch  what the monitor watches, if there is one; default all.
 */
export function trainOptions(
  task: Task, settings: RunSettings, { later = {}, store, watch = {} }: { later?: object; store: RunStore; watch?: Watch },
): TrainOptions<Tree<Variable>, unknown> {
  const { params, optimizer, schedule, modelState, perStep, facts, stepEps = 0 } = task;
  return {
    params, optimizer, steps: settings.steps, seed: settings.seed, learningRate: schedule, store,
    ...(perStep.unit === 'tokens' && { tokensPerStep: perStep.count }),
    ...(settings.precision === 'f16' && { lossScale: 'dynamic' as const }),
    ...(modelState && { modelState }),
    ...(settings.monitor !== 0 && { monitor: monitor({ every: settings.monitor, watch, thresholds: { eps: stepEps } }) }),
    config: { ...decisive(settings, later as Readonly<Record<string, unknown>>), ...facts } as NonNullable<TrainOptions<Tree<Variable>, unknown>['config']>,
    batches: task.batches,
    loss: task.loss,
    ...(task.evaluate && { evaluate: task.evaluate }),
  };
}

/** Shows progress and saves the model at every checkpoint; remembers the steps of both. */
function watcher({ directory, settings: { steps, evalEvery }, task, accepted }: TrainingRun, io: Io) {
  let progress: Progress | undefined;
  let modelStep: number | undefined;
  let checkpointStep: number | undefined;
  let hasBegun = false;
  const callbacks: TrainCallbacks = {
    onResume: async ({ step, skipped, missingMetrics }) => {
      await accepted?.();
      hasBegun = true;
      checkpointStep = step;
      if (missingMetrics > 0) io.line(`the metrics of ${missingMetrics} steps are lost; report and training loss lack them`);
      for (const { path, reason } of skipped) io.line(`skipped ${path}, which is damaged: ${reason}`);
      io.line(`going on after step ${step}`);
    },
    onStep: ({ step, loss }) => {
      hasBegun = true;
      progress ??= io.progress({ total: steps, start: step - 1, perStep: task.perStep, ...(task.evaluate && { evalEvery }) });
      progress.step(step, loss);
    },
    onTuned: ({ class: of, winner, milliseconds }, left) => {
      progress?.say(wrap('tuned  ', `${of}: ${winner}, ${(milliseconds[winner] as number).toFixed(3)} ms${left > 0 ? `; ${left} left` : ''}`));
      progress?.paused();
    },
    onReading: ({ findings }) => {
      const lines = findings.flatMap(({ message }) => wrap('monitor  ', message));
      if (lines.length > 0) progress?.say(lines);
    },
    onEval: async ({ step, valLoss, values = {} }) => {
      progress?.evaluated(step, valLoss, values);
      await task.evaluated?.(directory, { step, values: { loss: valLoss, ...values } });
      progress?.paused();
    },
    onCheckpoint: async ({ step }) => {
      checkpointStep = step;
      await task.save(directory);
      modelStep = step;
      progress?.paused();
    },
  };
  return { callbacks, modelStep: () => modelStep, checkpointStep: () => checkpointStep, hasBegun: () => hasBegun, stop: () => progress?.stop() };
}

/** The same error, saying also what remains of the run. */
async function withCheckpoint(error: unknown, step: number | undefined, directory: string): Promise<unknown> {
  if (!(error instanceof Error)) return error;
  const remains = step === undefined ? await unusedCheckpoints(directory) : `The checkpoint of step ${step} in ${directory} is intact.`;
  error.message = `${error.message}${/[.!?]$/.test(error.message) ? '' : '.'} ${remains}`;
  return error;
}

/** What stands in a run directory from which nothing was loaded and to which nothing was written. */
async function unusedCheckpoints(directory: string): Promise<string> {
  const names = await directoryStore(directory).list('state').catch(() => undefined);
  if (names === undefined) return `The checkpoints in ${directory} were left as they are.`;
  const steps = names.flatMap((name) => /^step-(\d+)\.safetensors$/.exec(name)?.[1] ?? []).map(Number).sort((a, b) => a - b);
  if (steps.length === 0) return 'No checkpoint had been written.';
  return `What ${directory} holds of step ${steps.join(' and ')} was left as it is.`;
}

/** writeRunReport — `report.html` of a run, from its metrics so far. */
export async function writeRunReport(
  { family, directory, settings, device }: TrainingRun, parts: Pick<ReportOptions, 'result' | 'sample' | 'tiles' | 'sections'>,
): Promise<void> {
  const metrics = await readMetrics(directoryStore(directory));
  const { title, perplexity = false } = family;
  const [subtitle, listed] = [family.subtitle?.(settings), family.listed?.(settings) ?? settings];
  await writeReport(join(directory, 'report.html'), { title, ...(subtitle !== undefined && { subtitle }), config: { device: device.name, ...listed }, lossUnit: 'nats', metrics, perplexity, ...parts });
}

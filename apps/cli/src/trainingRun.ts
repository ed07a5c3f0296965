import { join } from 'node:path';
import { treeLeaves, type Device } from '@evenkeel/core-tensor';
import { monitor, type Watch } from '@evenkeel/diagnostics';
import type { GptParams } from '@evenkeel/models-gpt';
import { directoryStore, readMetrics, train, writeReport, type RunStore, type StepContext, type TrainCallbacks, type TrainResult } from '@evenkeel/training';
import { InterruptedError } from './errors.ts';
import { evaluationBatches, meanLossOf, type MeanLoss } from './evaluation.ts';
import { wrap } from './format.ts';
import { listenForInterrupt } from './interrupt.ts';
import { EPS_OF_STEPS, optimizerFor } from './optimizer.ts';
import type { Io } from './output.ts';
import { PROGRAM, shellWord } from './programName.ts';
import type { Progress } from './progress.ts';
import type { RunData } from './runData.ts';
import { LATER_SETTINGS, type RunSettings } from './runSettings.ts';
import { saveModel, type TrainedModel } from './savedModel.ts';

/** TrainingRun — everything that training needs, ready. */
export type TrainingRun = TrainedModel & {
  readonly directory: string;
  readonly settings: RunSettings;
  readonly data: RunData;
  readonly device: Device;
  /** Records settings that were changed on resuming, once the checkpoint has accepted them. */
  readonly accepted?: () => Promise<void>;
};

/** Tokens of an evaluation during training: as many as nanoGPT's 20 batches of 12 × 64. */
const EVAL_TOKENS = 15_360;
/** Tokens of the evaluation at the end. */
const FINAL_TOKENS = 131_072;

/**
 * runTraining — all steps of a run, with checkpoints and the model in its directory.
 *
 * @throws InterruptedError  if the user stopped it; checkpoint, model and report are written then.
 * @throws                   any other error says which checkpoint is intact.
 */
export async function runTraining(run: TrainingRun, { resume, io }: { resume: boolean; io: Io }): Promise<TrainResult> {
  const { directory, settings: { steps } } = run;
  const watch = watcher(run, io);
  const interrupt = listenForInterrupt(() => {
    watch.stop();
    io.line('\nStopping after this step, with a checkpoint …');
  });
  try {
    const { evalEvery, checkpointEvery } = run.settings;
    const result = await train({ ...trainOptions(run, directoryStore(directory)), evalEvery, checkpointEvery, resume, signal: interrupt.signal, callbacks: watch.callbacks });
    if (watch.modelStep() !== result.steps) await saveModel(directory, run); // stopped between state and model the last time
    if (!result.interrupted) return result;
    await writeRunReport(run, { result });
    throw new InterruptedError(`stopped after step ${result.steps} of ${steps}; go on with: ${PROGRAM} train gpt --out ${shellWord(directory)} --resume`, interrupt.received() ?? 'SIGINT');
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
export function trainOptions({ settings, data, model, params, state }: Pick<TrainingRun, 'settings' | 'data' | 'model' | 'params' | 'state'>, store: RunStore, watch: Watch = {}) {
  const { steps, seed, batchSize, context } = settings;
  const { optimizer, schedule } = optimizerFor(settings, model.specs);
  const valBatches = evaluationBatches(data.val, { contextLength: context, batchSize, maxTokens: EVAL_TOKENS });
  return {
    params, steps, seed, optimizer, learningRate: schedule, tokensPerStep: batchSize * context, store,
    ...(settings.precision === 'f16' && { lossScale: 'dynamic' as const }),
    ...(treeLeaves(state).length > 0 && { modelState: { values: state, update: model.state.update } }),
    monitor: settings.monitor === 0 ? undefined : monitor({ every: settings.monitor, watch, thresholds: { eps: EPS_OF_STEPS[settings.optimizer] ?? 0 } }),
    config: decisive(settings, data),
    batches: data.batch,
    loss: (leaves: GptParams, batch: ReturnType<RunData['batch']>, call: StepContext) => model.loss(batch, leaves, call),
    evaluate: valBatches.length === 0 ? undefined : async () => (await meanLossOf(model, params, valBatches, state)).loss,
  };
}

/** What train() compares on resuming: all settings but those that may change, and those that older runs lack and that are as there. */
function decisive({ evalEvery, checkpointEvery, monitor: _, data, steps, ...settings }: RunSettings, { vocabSize }: RunData): Record<string, unknown> {
  const isAsBefore = ([name, value]: readonly [string, unknown]): boolean => name in LATER_SETTINGS && LATER_SETTINGS[name as keyof typeof LATER_SETTINGS] === value;
  const deciding = Object.entries(settings).filter((entry) => !isAsBefore(entry));
  return { ...Object.fromEntries(deciding), vocabSize, ...(settings.schedule === 'constant' ? {} : { steps }) };
}

/** Shows progress and saves the model at every checkpoint; remembers the steps of both. */
function watcher(run: TrainingRun, io: Io) {
  const { directory, settings: { steps, batchSize, context }, accepted } = run;
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
      progress ??= io.progress({ total: steps, start: step - 1, tokensPerStep: batchSize * context });
      progress.step(step, loss);
    },
    onReading: ({ findings }) => {
      const lines = findings.flatMap(({ message }) => wrap('monitor  ', message));
      if (lines.length > 0) progress?.say(lines);
    },
    onEval: ({ step, valLoss }) => progress?.evaluated(step, valLoss),
    onCheckpoint: async ({ step }) => {
      checkpointStep = step;
      await saveModel(directory, run);
      modelStep = step;
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

/** finalLoss — the validation loss over all of the split, or over 131,072 tokens spread over it; undefined without a split. */
export async function finalLoss({ model, params, state, data, settings: { context, batchSize } }: TrainingRun): Promise<MeanLoss | undefined> {
  const batches = evaluationBatches(data.val, { contextLength: context, batchSize, maxTokens: FINAL_TOKENS });
  return batches.length === 0 ? undefined : meanLossOf(model, params, batches, state);
}

/** writeRunReport — `report.html` of a run, from its metrics so far. */
export async function writeRunReport({ directory, settings, device }: TrainingRun, { result, sample }: { result?: TrainResult; sample?: string }): Promise<void> {
  const metrics = await readMetrics(directoryStore(directory));
  await writeReport(join(directory, 'report.html'), { title: 'GPT training run', config: { device: device.name, ...settings }, lossUnit: 'nats', metrics, result, sample });
}

import { join } from 'node:path';
import type { Params } from '@evenkeel/core-tensor';
import { directoryStore, NonFiniteError, readMetrics, train, type Metrics, type TrainCallbacks, type TrainResult } from '@evenkeel/training';
import { gptTask } from '../gpt/gptFamily.ts';
import { LATER_GPT_SETTINGS } from '../gpt/gptSettings.ts';
import type { RunData } from '../gpt/runData.ts';
import { parameterCount, spreadOf } from '../statistics.ts';
import { trainOptions } from '../trainingRun.ts';
import { curvesOf } from './curves.ts';
import type { RunResult } from './runResult.ts';
import type { PlannedRun } from './sweepPlan.ts';

export type MeasureOptions = {
  readonly data: RunData;
  readonly device: string;
  /** Of the sweep. */
  readonly directory: string;
  /** Losses of untrained models, which all learning rates share: read, and added to. */
  readonly initialLosses: Map<string, number>;
  readonly signal: AbortSignal;
  readonly onStep: NonNullable<TrainCallbacks['onStep']>;
};

/** RUNS — where a sweep keeps the metrics of its runs and, while they last, their states. */
export const RUNS = 'runs';

/** Interrupted — a run that was stopped after so many steps, with a checkpoint. */
export type Interrupted = { readonly interruptedAfter: number };

/**
 * measureRun — trains one run of a sweep from its beginning, or from where it was stopped; a run that diverges is a result like any other.
 *
 * The same run gives the same result whether it was stopped on the way or not, but for its times.
 */
export async function measureRun({ id, technique, settings }: PlannedRun, { data, device, directory, initialLosses, signal, onStep }: MeasureOptions): Promise<RunResult | Interrupted> {
  const task = gptTask(settings, data);
  const store = directoryStore(join(directory, RUNS, id));
  const { evaluate, ...options } = trainOptions(task, settings, { later: LATER_GPT_SETTINGS, store, watch: { parameters: false } });
  try {
    const untrained = [technique, settings.dim, settings.depth].join();
    const initialLoss = initialLosses.get(untrained) ?? await (evaluate as () => Promise<number>)(); // planSweep sees to it that there is a validation split
    initialLosses.set(untrained, initialLoss);
    const trained = await unlessDiverged(train({ ...options, evaluate, evalEvery: settings.steps, checkpointEvery: settings.checkpointEvery, resume: true, signal, callbacks: { onStep } }));
    if (!(trained instanceof NonFiniteError) && trained.interrupted) return { interruptedAfter: trained.steps };
    const { dim, depth, learningRate } = settings;
    return { id, technique, dim, depth, learningRate, initialLoss, ...outcomeOf(trained), ...measuredIn(await readMetrics(store)), params: parameterCount(task.params as Params), device, settings };
  } finally {
    task.dispose();
  }
}

async function unlessDiverged(run: Promise<TrainResult>): Promise<TrainResult | NonFiniteError> {
  try {
    return await run;
  } catch (error) {
    if (error instanceof NonFiniteError) return error;
    throw error;
  }
}

function outcomeOf(trained: TrainResult | NonFiniteError): Pick<RunResult, 'loss' | 'diverged' | 'trainLoss'> {
  if (trained instanceof NonFiniteError) return { loss: null, diverged: { step: trained.step, what: `${trained.quantity} ${trained.value}`, message: trained.message }, trainLoss: null };
  return { loss: trained.valLoss as number, diverged: null, trainLoss: trained.trainLoss };
}

function measuredIn(metrics: readonly Metrics[]): Pick<RunResult, 'steps' | 'msPerStep' | 'findings' | 'curves'> {
  const durations = metrics.flatMap((each) => (each.kind === 'step' ? [each.msPerStep] : []));
  const findings = metrics.flatMap((each) => (each.kind === 'monitor' ? each.findings.map((finding) => ({ step: each.step, ...finding })) : []));
  return { steps: durations.length, msPerStep: spreadOf(durations).median, findings, curves: curvesOf(metrics) };
}

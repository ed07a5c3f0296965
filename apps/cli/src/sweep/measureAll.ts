import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { InterruptedError } from '../errors.ts';
import { formatDuration, wrap } from '../format.ts';
import { listenForInterrupt } from '../interrupt.ts';
import type { Io } from '../output.ts';
import { PROGRAM, shellWord } from '../programName.ts';
import type { Progress } from '../progress.ts';
import type { RunData } from '../gpt/runData.ts';
import { measureRun, RUNS, type MeasureOptions } from './measureRun.ts';
import { kindsFound, lossName, rateName, sizeNames, type Size } from './names.ts';
import { writeResults, type RunResult } from './runResult.ts';
import { summarise } from './summary.ts';
import type { PlannedRun, SweepPlan } from './sweepPlan.ts';

export type MeasureAllOptions = {
  readonly directory: string;
  readonly data: RunData;
  readonly device: string;
  /** Those of finished runs, to which others are added. */
  readonly results: RunResult[];
  /** Is called after each run. */
  readonly finished: () => Promise<unknown>;
};

/**
 * measureAll — measures the runs of a plan that are not finished, one after the other. A result is on the disk before the next run begins.
 *
 * @throws InterruptedError  if the user stopped it, with a checkpoint of the run at work.
 * @throws                   any other error says how many runs are finished.
 */
export async function measureAll(plan: SweepPlan, options: MeasureAllOptions, io: Io): Promise<void> {
  const { directory, results, finished } = options;
  const progress = sweepProgress(plan, io);
  const interrupt = listenForInterrupt(() => {
    progress.stop();
    io.line('\nStopping after this step, with a checkpoint …');
  });
  const isFinished = (run: PlannedRun): boolean => results.some(({ id }) => id === run.id);
  const initialLosses = new Map<string, number>();
  try {
    for (const [index, run] of plan.runs.entries()) {
      if (!isFinished(run)) {
        const began = performance.now();
        const result = await measureRun(run, { ...options, initialLosses, signal: interrupt.signal, onStep: progress.onStep(index) });
        if ('interruptedAfter' in result) throw new InterruptedError(stopped(index, result.interruptedAfter, plan, directory), interrupt.received() ?? 'SIGINT');
        results.push(result);
        await writeResults(directory, results);
        await finished();
        progress.say(index, result, (performance.now() - began) / 1000);
      }
      removeState(directory, run);
    }
  } catch (error) {
    throw error instanceof InterruptedError ? error : withFinished(error, plan.runs.filter(isFinished).length, plan, directory);
  } finally {
    interrupt.release();
    progress.stop();
  }
}

/** One bar over the steps of all runs, and lines that say what came of each. */
function sweepProgress(plan: SweepPlan, io: Io) {
  const linesOf = speaker(plan);
  let progress: Progress | undefined;
  return {
    onStep: (index: number): MeasureOptions['onStep'] => ({ step, loss }) => {
      const { steps, batchSize, context } = plan.runs[0].settings;
      progress ??= io.progress({ total: plan.runs.length * steps, start: index * steps + step - 1, perStep: { count: batchSize * context, unit: 'tokens' }, lines: 0 });
      progress.step(index * steps + step, loss);
    },
    say: (index: number, result: RunResult, seconds: number): void => {
      const lines = linesOf(index, result, seconds);
      if (progress === undefined) lines.forEach((line) => io.line(line));
      else progress.say(lines);
    },
    stop: () => progress?.stop(),
  };
}

/** What training needs to go on with; the metrics stay. */
const removeState = (directory: string, { id }: PlannedRun): void => rmSync(join(directory, RUNS, id, 'state'), { recursive: true, force: true });

const goOn = (directory: string): string => `${PROGRAM} sweep --out ${shellWord(directory)} --resume`;

const stopped = (index: number, step: number, { runs }: SweepPlan, directory: string): string =>
  `stopped in run ${index + 1} of ${runs.length} after step ${step} of ${runs[index]?.settings.steps}; go on with: ${goOn(directory)}`;

function withFinished(error: unknown, finished: number, { runs }: SweepPlan, directory: string): unknown {
  if (!(error instanceof Error)) return error;
  error.message = `${error.message}${/[.!?]$/.test(error.message) ? '' : '.'} ${finished} of ${runs.length} runs are finished in ${directory}.`;
  return error;
}

/** The lines that say what came of a run. */
function speaker(plan: SweepPlan): (index: number, result: RunResult, seconds: number) => string[] {
  const { sizes, techniques, learningRates } = summarise(plan, []);
  const nameOf = sizeNames(sizes);
  const widthOf = (names: readonly string[]): number => Math.max(...names.map((name) => name.length));
  const sizeOf = (size: Size): string => (sizes.length === 1 ? '' : `${nameOf(size).padEnd(widthOf(sizes.map(nameOf)))}  `);
  const [nameWidth, rateWidth] = [techniques.map(({ name }) => name), learningRates.map(rateName)].map(widthOf) as [number, number];
  const { length } = plan.runs;
  return (index, result, seconds) => {
    const place = `${String(index + 1).padStart(String(length).length)}/${length}`;
    const label = `${place}  ${result.technique.padEnd(nameWidth)}  ${sizeOf(result)}${rateName(result.learningRate).padStart(rateWidth)}  `;
    const outcome = result.diverged === null ? `loss ${lossName(result.loss as number)}` : `diverged in step ${result.diverged.step} (${result.diverged.what})`;
    const found = kindsFound(result);
    return wrap(label, `${outcome}, ${formatDuration(seconds)}${found === '' ? '' : `; ${found}`}`);
  };
}

import type { Reading } from '@evenkeel/core-tensor';
import type { MonitorFindings } from './explainFailure.ts';
import type { Metrics } from './metrics.ts';
import { spreadOf, type Spread } from './spread.ts';

const AVERAGED_LOSSES = 20;

/** History — what of a run's metrics its result is made of. */
export type History = { losses: number[]; durations: number[]; valLoss: number | undefined; readings: Reading[]; found?: MonitorFindings };

/** historyOf — the history that some metrics leave. */
export function historyOf(metrics: readonly Metrics[]): History {
  const history: History = { losses: [], durations: [], valLoss: undefined, readings: [] };
  const steps = new Map(metrics.flatMap((each) => (each.kind === 'step' ? [[each.step, each] as const] : [])));
  for (const each of metrics) {
    remember(history, each);
    const measured = each.kind === 'monitor' ? steps.get(each.step) : undefined;
    if (each.kind === 'monitor' && measured !== undefined) history.readings.push({ step: each.step, loss: measured.loss, gradNorm: measured.gradNorm, values: each.values });
  }
  return history;
}

/** remember — adds one line of metrics. */
export function remember(history: History, metrics: Metrics): void {
  if (metrics.kind === 'eval') {
    history.valLoss = metrics.valLoss;
    return;
  }
  if (metrics.kind === 'monitor') {
    if (metrics.findings.length > 0) history.found = metrics;
    return;
  }
  history.durations.push(metrics.msPerStep);
  history.losses.push(metrics.loss);
  if (history.losses.length > AVERAGED_LOSSES) history.losses.shift();
}

/** missingSteps — how many of the first `steps` steps have no line in the metrics. */
export function missingSteps(metrics: readonly Metrics[], steps: number): number {
  return steps - new Set(metrics.filter(({ kind }) => kind === 'step').map(({ step }) => step)).size;
}

/** summaryOf — mean loss of the last 20 steps (NaN if there are none), last validation loss, spread of the durations. */
export function summaryOf({ losses, durations, valLoss }: History): { trainLoss: number; valLoss: number | undefined; msPerStep: Spread } {
  return { trainLoss: losses.reduce((sum, loss) => sum + loss, 0) / losses.length, valLoss, msPerStep: spreadOf(durations) };
}

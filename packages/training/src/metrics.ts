import { ConfigError, type Finding, type Reading } from '@evenkeel/core-tensor';
import type { RunStore } from './runStore.ts';

/** StepMetrics — one training step. All but `msPerStep` and `tokensPerSecond` are the same in every run of the same seed. */
export type StepMetrics = {
  readonly kind: 'step';
  /** Steps done, this one included: 1 for the first. */
  readonly step: number;
  readonly loss: number;
  readonly learningRate?: number;
  /** Global norm of the gradient before clipping. */
  readonly gradNorm: number;
  readonly msPerStep: number;
  readonly tokensPerSecond?: number;
};

/** EvalMetrics — one evaluation after `step` steps; `values`: what else it measured, by name, such as `accuracy`. */
export type EvalMetrics = { readonly kind: 'eval'; readonly step: number; readonly valLoss: number; readonly values?: Readonly<Record<string, number>> };

/** MonitorMetrics — a monitor's reading of a step, and what it found. */
export type MonitorMetrics = { readonly kind: 'monitor'; readonly step: number; readonly values: Reading['values']; readonly findings: readonly Finding[] };

export type Metrics = StepMetrics | EvalMetrics | MonitorMetrics;

/** METRICS_PATH — one JSON object per line, appended as the run goes. */
export const METRICS_PATH = 'metrics.jsonl';

/** appendMetrics — adds a line. */
export async function appendMetrics(store: RunStore, metrics: Metrics): Promise<void> {
  await store.appendText(METRICS_PATH, `${JSON.stringify(metrics, writable)}\n`);
}

/**
 * readMetrics — all metrics of a run, in order; none if it has no file yet. An incomplete last line, left by a crash, is ignored.
 *
 * @throws ConfigError  if any other line is no metrics object.
 */
export async function readMetrics(store: RunStore): Promise<Metrics[]> {
  return completeLines(await store.readText(METRICS_PATH) ?? '').map(parseLine);
}

/**
 * cutMetrics — removes what lies after `step`, and an incomplete last line, so that a resumed run repeats it.
 *
 * @returns the metrics that remain.
 */
export async function cutMetrics(store: RunStore, step: number): Promise<Metrics[]> {
  const text = await store.readText(METRICS_PATH) ?? '';
  const kept = completeLines(text).map((line, index) => ({ line, metrics: parseLine(line, index) })).filter(({ metrics }) => metrics.step <= step);
  const remaining = kept.map(({ line }) => `${line}\n`).join('');
  if (remaining !== text) await store.writeText(METRICS_PATH, remaining);
  return kept.map(({ metrics }) => metrics);
}

/** Lines that end in a line break: what stands behind the last one was never finished. */
const completeLines = (text: string): string[] => text.split('\n').slice(0, -1);

const NOT_FINITE = [NaN, Infinity, -Infinity];

/** JSON has no NaN and no infinity, which a monitor may well have read: they are written as texts. */
const writable = (_: string, value: unknown): unknown => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);

/** The same line with its numbers. */
function readable(metrics: Metrics): Metrics {
  if (metrics.kind !== 'monitor') return metrics;
  const numbers = (list: readonly unknown[]): number[] => list.map((value) => NOT_FINITE.find((each) => String(each) === value) ?? (value as number));
  return { ...metrics, values: Object.fromEntries(Object.entries(metrics.values).map(([name, list]) => [name, numbers(list)])) };
}

function parseLine(line: string, index: number): Metrics {
  try {
    const value = JSON.parse(line) as Metrics;
    if (Number.isSafeInteger(value.step) && ['step', 'eval', 'monitor'].includes(value.kind)) return readable(value);
  } catch {
    // reported below
  }
  throw new ConfigError(`readMetrics: line ${index + 1} of ${METRICS_PATH} must be a JSON object with kind and step, got ${JSON.stringify(line.slice(0, 60))}`);
}

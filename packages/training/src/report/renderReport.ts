import { least, median } from 'd3-array';
import type { RunConfig } from '../configDifferences.ts';
import type { EvalMetrics, Metrics, MonitorMetrics, StepMetrics } from '../metrics.ts';
import type { TrainResult } from '../train.ts';
import type { LineChart } from './chartTypes.ts';
import { smoothed, type Point } from './curves.ts';
import { byteSize, counted, fourDigits, significant } from './format.ts';
import { findingsSection, monitorSections } from './monitorSections.ts';
import { renderPage, type PageSection, type Tile } from './renderPage.ts';

export type ReportOptions = {
  title: string;
  /** What the run is about, in a few words; stands in front of how far it is. */
  subtitle?: string;
  /** One table row per value; nested ones by path. */
  config: RunConfig;
  /** Unit of the losses, for the axis: `nats`. */
  lossUnit?: string;
  /** All lines of the run: `await readMetrics(store)`. */
  metrics: readonly Metrics[];
  /** Its `valLoss` and `peakBytes` are shown as they are: an evaluation after the last step may be put there. */
  result?: TrainResult;
  /** Whether the exponential of the validation loss means something: the perplexity of a language model. Default true. */
  perplexity?: boolean;
  /** A text the model made. */
  sample?: string;
  /** More numbers behind the losses, and more cards before the configuration: a confusion matrix, predictions. */
  tiles?: readonly Tile[];
  sections?: readonly PageSection[];
};

/**
 * renderReport — a run as one self-contained HTML page: final numbers, what a monitor found, curves of loss, learning rate and gradient
 * norm, the monitor's curves by block, a sample, and the configuration. Needs neither a network nor scripts.
 *
 * @returns the page; the same for the same options.
 */
export function renderReport({ title, subtitle, config, lossUnit, metrics, result, perplexity = true, sample, tiles: more = [], sections = [] }: ReportOptions): string {
  const steps = metrics.filter((each): each is StepMetrics => each.kind === 'step');
  const evals = metrics.filter((each): each is EvalMetrics => each.kind === 'eval');
  const readings = metrics.filter((each): each is MonitorMetrics => each.kind === 'monitor');
  return renderPage({
    title, status: [...(subtitle === undefined ? [] : [`${subtitle}.`]), status(steps, result)].join(' '), tiles: tiles(steps, evals, { result, perplexity, more }),
    sections: [
      ...findingsSection(readings),
      ...sections,
      ...charts(steps, evals, lossUnit),
      ...monitorSections(readings),
      ...(sample === undefined ? [] : [{ heading: 'Sample', preformatted: sample }]),
      configSection(config),
    ],
    footer: 'Made by Evenkeel. Every number of the curves is in metrics.jsonl beside this file.',
  });
}

function status(steps: readonly StepMetrics[], result: TrainResult | undefined): string {
  const done = result?.steps ?? steps.at(-1)?.step ?? 0;
  const state = result === undefined ? 'so far' : result.interrupted ? 'interrupted; it can be resumed' : 'finished';
  const resumed = result?.resumedFrom === undefined ? '' : `, resumed from step ${result.resumedFrom.toLocaleString('en')}`;
  return `${counted(done, 'step')}, ${state}${resumed}.`;
}

function tiles(steps: readonly StepMetrics[], evals: readonly EvalMetrics[], { result, perplexity, more }: { result?: TrainResult; perplexity: boolean; more: readonly Tile[] }): Tile[] {
  const best = least(evals, (each) => each.valLoss);
  const last = evals.at(-1);
  const valLoss = result?.valLoss ?? last?.valLoss;
  const ms = result?.msPerStep.median ?? median(steps, (each) => each.msPerStep);
  const tokens = median(steps.filter((each) => each.tokensPerSecond !== undefined), (each) => each.tokensPerSecond);
  return [
    result !== undefined && tile('Training loss', fourDigits(result.trainLoss), meanOf(Math.min(20, steps.length))),
    valLoss !== undefined && tile('Validation loss', fourDigits(valLoss), perplexity ? `perplexity ${significant(Math.exp(valLoss))}` : 'after the last step'),
    ...more,
    best !== undefined && best !== last && tile('Best validation loss', fourDigits(best.valLoss), `at step ${best.step.toLocaleString('en')}`),
    ms !== undefined && tile('Time per step', `${significant(ms)} ms`, result === undefined ? 'median' : `${significant(result.msPerStep.p10)} to ${significant(result.msPerStep.p90)} ms in 80 % of steps`),
    tokens !== undefined && tile('Tokens per second', Math.round(tokens).toLocaleString('en'), 'median'),
    result !== undefined && tile('Memory', byteSize(result.peakBytes), 'most tensors alive at once'),
  ].filter((each) => each !== false);
}

/** Of how many steps the training loss is the mean. */
const meanOf = (count: number): string => (count === 1 ? 'of the only step' : `mean of the last ${count} steps`);

const tile = (name: string, value: string, note: string): Tile => ({ name, value, note });

function charts(steps: readonly StepMetrics[], evals: readonly EvalMetrics[], lossUnit?: string): PageSection[] {
  if (steps.length + evals.length === 0) return [{ heading: 'Loss', text: 'No step was recorded.' }];
  const pointsOf = (value: (each: StepMetrics) => number | undefined): Point[] =>
    steps.map((each) => [each.step, value(each)] as const).filter((point): point is Point => Number.isFinite(point[1]));
  const losses = pointsOf((each) => each.loss);
  const rates = pointsOf((each) => each.learningRate);
  const norms = pointsOf((each) => each.gradNorm);
  const x = { label: 'step' };
  return [
    section({ title: 'Loss', x, y: { label: 'loss', unit: lossUnit, scale: 'auto' }, series: [
      { name: 'training, each step', color: 0, style: 'faint', points: losses },
      { name: 'training, smoothed', color: 0, points: smoothed(losses) },
      { name: 'validation', color: 1, style: 'dots', points: evals.map((each) => [each.step, each.valLoss] as const) },
    ] }),
    ...measured(evals),
    section({ title: 'Learning rate', x, y: { label: 'learning rate', fromZero: true }, series: [{ name: 'learning rate', color: 2, points: rates }] }),
    section({ title: 'Gradient norm', x, y: { label: 'norm before clipping', scale: 'auto' }, series: [
      { name: 'each step', color: 3, style: 'faint', points: norms },
      { name: 'smoothed', color: 3, points: smoothed(norms) },
    ] }),
  ].flat();
}

/** A chart of what evaluations measured besides the loss. */
function measured(evals: readonly EvalMetrics[]): PageSection[] {
  const names = [...new Set(evals.flatMap(({ values = {} }) => Object.keys(values)))];
  if (names.length === 0) return [];
  const series = names.map((name, color) => ({ name, color, style: 'dots' as const, points: evals.flatMap(({ step, values }): Point[] => (values?.[name] === undefined ? [] : [[step, values[name]]])) }));
  return section({ title: 'On the validation data', x: { label: 'step' }, y: { label: names.length === 1 ? names[0] as string : 'measure' }, series });
}

/** A chart in a card of its own; nothing if there is nothing to draw. */
function section(chart: LineChart): PageSection[] {
  return chart.series.every(({ points }) => points.length === 0) ? [] : [{ heading: chart.title, charts: [chart] }];
}

function configSection(config: RunConfig): PageSection {
  const rows = flatten(config, '');
  return { heading: 'Configuration', ...(rows.length === 0 ? { text: 'None was recorded.' } : { table: { rows } }) };
}

function flatten(value: unknown, path: string): [path: string, value: string][] {
  const isNested = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (isNested) return Object.entries(value).flatMap(([key, child]) => flatten(child, path === '' ? key : `${path}.${key}`));
  return [[path, typeof value === 'string' ? value : JSON.stringify(value) ?? String(value)]];
}

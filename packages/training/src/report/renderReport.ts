import { least, median } from 'd3-array';
import type { RunConfig } from '../configDifferences.ts';
import type { EvalMetrics, Metrics, StepMetrics } from '../metrics.ts';
import type { TrainResult } from '../train.ts';
import { smoothed, type Point } from './curves.ts';
import { escapeHtml } from './escapeHtml.ts';
import { byteSize, counted, fourDigits, significant } from './format.ts';
import { lineChart, type Series } from './lineChart.ts';
import { stylesheet } from './stylesheet.ts';

export type ReportOptions = {
  title: string;
  /** One table row per value; nested ones by path. */
  config: RunConfig;
  /** All lines of the run: `await readMetrics(store)`. */
  metrics: readonly Metrics[];
  result?: TrainResult;
  /** A text the model made. */
  sample?: string;
};

/**
 * renderReport — a run as one self-contained HTML page: final numbers, curves of loss, learning rate and gradient norm as
 * inline SVG, a sample, and the configuration. Needs neither a network nor scripts.
 *
 * @returns the page; the same for the same options.
 */
export function renderReport({ title, config, metrics, result, sample }: ReportOptions): string {
  const steps = metrics.filter((each): each is StepMetrics => each.kind === 'step');
  const evals = metrics.filter((each): each is EvalMetrics => each.kind === 'eval');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${stylesheet}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<p class="status">${status(steps, result)}</p>
${tiles(steps, evals, result)}
${charts(steps, evals)}
${sample === undefined ? '' : section('Sample', '', `<pre>${escapeHtml(sample)}</pre>`)}
${section('Configuration', '', configTable(config))}
<footer>Made by Evenkeel. Every number of the curves is in metrics.jsonl beside this file.</footer>
</main>
</body>
</html>
`;
}

function section(heading: string, legend: string, body: string): string {
  return `<section>\n<header><h2>${escapeHtml(heading)}</h2>${legend}</header>\n${body}\n</section>`;
}

function status(steps: readonly StepMetrics[], result: TrainResult | undefined): string {
  const done = result?.steps ?? steps.at(-1)?.step ?? 0;
  const state = result === undefined ? 'so far' : result.interrupted ? 'interrupted; it can be resumed' : 'finished';
  const resumed = result?.resumedFrom === undefined ? '' : `, resumed from step ${result.resumedFrom.toLocaleString('en')}`;
  return `${counted(done, 'step')}, ${state}${resumed}.`;
}

function tiles(steps: readonly StepMetrics[], evals: readonly EvalMetrics[], result: TrainResult | undefined): string {
  const best = least(evals, (each) => each.valLoss);
  const last = evals.at(-1);
  const ms = result?.msPerStep.median ?? median(steps, (each) => each.msPerStep);
  const tokens = median(steps.filter((each) => each.tokensPerSecond !== undefined), (each) => each.tokensPerSecond);
  const shown = [
    result !== undefined && tile('Training loss', fourDigits(result.trainLoss), 'mean of the last 20 steps'),
    last !== undefined && tile('Validation loss', fourDigits(last.valLoss), `perplexity ${significant(Math.exp(last.valLoss))}`),
    best !== undefined && best !== last && tile('Best validation loss', fourDigits(best.valLoss), `at step ${best.step.toLocaleString('en')}`),
    ms !== undefined && tile('Time per step', `${significant(ms)} ms`, result === undefined ? 'median' : `${significant(result.msPerStep.p10)} to ${significant(result.msPerStep.p90)} ms in 80 % of steps`),
    tokens !== undefined && tile('Tokens per second', Math.round(tokens).toLocaleString('en'), 'median'),
    result !== undefined && tile('Memory', byteSize(result.peakBytes), 'most tensors alive at once'),
  ].filter((each) => each !== false);
  return shown.length === 0 ? '' : `<dl class="tiles">\n${shown.join('\n')}\n</dl>`;
}

const tile = (name: string, value: string, note: string): string =>
  `<div class="tile"><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}<small>${escapeHtml(note)}</small></dd></div>`;

function charts(steps: readonly StepMetrics[], evals: readonly EvalMetrics[]): string {
  if (steps.length + evals.length === 0) return section('Loss', '', '<p class="status">No step was recorded.</p>');
  const pointsOf = (value: (each: StepMetrics) => number | undefined): Point[] =>
    steps.map((each) => [each.step, value(each)] as const).filter((point): point is Point => Number.isFinite(point[1]));
  const losses = pointsOf((each) => each.loss);
  const rates = pointsOf((each) => each.learningRate);
  const norms = pointsOf((each) => each.gradNorm);
  return [
    chart('Loss', 'loss', true, [
      { name: 'training, each step', tone: 'train', style: 'faint', points: losses },
      { name: 'training, smoothed', tone: 'train', style: 'line', points: smoothed(losses) },
      { name: 'validation', tone: 'validation', style: 'dots', points: evals.map((each) => [each.step, each.valLoss] as const) },
    ]),
    chart('Learning rate', 'learning rate', false, [{ name: 'learning rate', tone: 'rate', style: 'line', points: rates }]),
    chart('Gradient norm', 'norm before clipping', true, [
      { name: 'each step', tone: 'norm', style: 'faint', points: norms },
      { name: 'smoothed', tone: 'norm', style: 'line', points: smoothed(norms) },
    ]),
  ].join('\n');
}

/** A chart with its legend; nothing if there is nothing to draw, and no legend for one curve. */
function chart(heading: string, yLabel: string, mayBreakZero: boolean, all: readonly Series[]): string {
  const series = all.filter((each) => each.points.length > 0);
  if (series.length === 0) return '';
  const entries = series.map((each) => `<li class="${each.tone} ${each.style}"><i></i>${escapeHtml(each.name)}</li>`);
  const legend = series.length < 2 ? '' : `<ul class="legend">${entries.join('')}</ul>`;
  return section(heading, legend, lineChart({ label: `${heading} by step`, yLabel, series, mayBreakZero }));
}

function configTable(config: RunConfig): string {
  const rows = flatten(config, '').map(([path, value]) => `<tr><th scope="row">${escapeHtml(path)}</th><td>${escapeHtml(value)}</td></tr>`);
  return rows.length === 0 ? '<p class="status">None was recorded.</p>' : `<table>\n${rows.join('\n')}\n</table>`;
}

function flatten(value: unknown, path: string): [path: string, value: string][] {
  const isNested = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (isNested) return Object.entries(value).flatMap(([key, child]) => flatten(child, path === '' ? key : `${path}.${key}`));
  return [[path, typeof value === 'string' ? value : JSON.stringify(value) ?? String(value)]];
}

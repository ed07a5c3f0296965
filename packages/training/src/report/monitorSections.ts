import { max, mean } from 'd3-array';
import type { Finding } from '@evenkeel/core-tensor';
import type { MonitorMetrics } from '../metrics.ts';
import type { Axis, LineChart, Series } from './chartTypes.ts';
import type { Point } from './curves.ts';
import { counted } from './format.ts';
import type { PageSection } from './renderPage.ts';

/** How a quantity is shown. */
type Look = {
  /** Names of its values. */
  readonly matches: RegExp;
  readonly title: string;
  readonly y: Axis;
  /** Several numbers of one curve and one reading, such as those of the heads or of a block's parameters, become one. Default: their mean. */
  readonly of?: (values: readonly number[]) => number;
  /** Where the numbers of a reading mean different things: their names, each for a curve of its own. */
  readonly parts?: readonly string[];
  /** A card of its own, over the whole width, with this below the chart. */
  readonly note?: string;
  /** Where it stands among other charts: a sentence below them. */
  readonly meaning?: string;
  /** A value that means something, shown where the curves come near it. */
  readonly reference?: { readonly at: number; readonly from: number; readonly label: string };
};

const PARAMETERS: Axis = { label: 'RMS, mean of parameters', scale: 'auto' };

const LOOKS: readonly Look[] = [
  {
    matches: /\.entropy$/, title: 'Attention entropy', y: { label: 'share of the largest possible', fromZero: true },
    note: 'Mean over the heads: 1 where each query looks at all the tokens it may see alike, 0 where it looks at one alone.',
  },
  {
    matches: /\.(maxLogit|rowMax)$/, title: 'Largest attention logit', y: { label: 'largest of all heads', scale: 'log' }, of: (values) => max(values) ?? NaN,
    note: 'The largest score before the softmax. Steady growth comes before attention collapses.', reference: { at: 1e4, from: 1e3, label: 'training usually breaks down' },
  },
  {
    matches: /logPartition$/, title: 'Log-partition of the output', y: { label: 'ln Σ exp(logit)' }, parts: ['mean', 'largest'],
    meaning: 'The log-partition normalises the output\'s probabilities; a z-loss keeps it near 0.',
  },
  { matches: /(^|\.)(attn|mlp)\.out\.rms$/, title: 'What the branches add', y: { label: 'root mean square', scale: 'auto' }, meaning: 'Branches are attention and MLP.' },
  {
    matches: /^embedding\.rms$|(^|\.)out\.rms$/, title: 'Residual stream', y: { label: 'root mean square', scale: 'auto' },
    meaning: 'The residual stream is what a block hands on to the next.',
  },
  { matches: /\.gradientRms$/, title: 'Gradients', y: PARAMETERS, meaning: 'Gradients are those before clipping.' },
  { matches: /\.updateRms$/, title: 'Updates', y: PARAMETERS, meaning: 'Updates are what the optimizer adds to the parameters.' },
  { matches: /\.rms$/, title: 'Parameters', y: PARAMETERS, meaning: 'RMS is the root mean square.' },
];

/** findingsSection — what a monitor found, in its words: each kind of finding at each place once, with the steps it was there. */
export function findingsSection(readings: readonly MonitorMetrics[]): PageSection[] {
  if (readings.length === 0) return [];
  const found = new Map<string, { first: number; last: number; count: number; finding: Finding }>();
  for (const { step, findings } of readings) {
    for (const finding of findings) {
      const key = `${finding.kind} ${finding.where ?? ''}`;
      const earlier = found.get(key);
      found.set(key, { first: earlier?.first ?? step, last: step, count: (earlier?.count ?? 0) + 1, finding });
    }
  }
  const heading = 'What the monitor found';
  if (found.size === 0) return [{ heading, badge: { text: 'nothing unusual', tone: 'good' }, text: `Nothing unusual in ${counted(readings.length, 'reading')}.` }];
  const list = [...found.values()].map(({ first, last, count, finding }) => {
    if (count === 1 && finding.message.includes(`step ${first}`)) return { text: finding.message, tone: 'warning' as const };
    const when = count === 1 ? `at step ${first.toLocaleString('en')}` : `in ${count.toLocaleString('en')} readings from step ${first.toLocaleString('en')} to ${last.toLocaleString('en')}`;
    return { text: `${finding.message} (${when})`, tone: 'warning' as const };
  });
  return [{ heading, badge: { text: counted(found.size, 'finding'), tone: 'warning' }, list }];
}

/**
 * monitorSections — a monitor's values as charts over the steps, with one curve for each block, from the first to the last. Known values
 * (those of @evenkeel/diagnostics) have titles and axes of their own; others a chart for each name, the block left out of it.
 */
export function monitorSections(readings: readonly MonitorMetrics[]): PageSection[] {
  const groups = groupsOf(readings);
  const main = groups.filter(({ look }) => look.note !== undefined).map((group) => ({ heading: group.look.title, charts: [chartOf(group, readings)], note: group.look.note }));
  const others = groups.filter(({ look }) => look.note === undefined);
  if (others.length === 0) return main;
  const meanings = others.flatMap(({ look: { meaning } }) => meaning ?? []);
  return [...main, { heading: 'Other measurements', charts: others.map((group) => chartOf(group, readings)), ...(meanings.length > 0 && { note: meanings.join(' ') }) }];
}

/** The values of one chart: their names, by the curve that they belong to. */
type Group = { readonly look: Look; readonly curves: Map<string, string[]> };

/** In the order of LOOKS, then of the names. */
function groupsOf(readings: readonly MonitorMetrics[]): Group[] {
  const groups = new Map<string, Group>(LOOKS.map((look) => [look.title, { look, curves: new Map() }]));
  for (const name of new Set(readings.flatMap(({ values }) => Object.keys(values)))) {
    const [, before = '', block, after = name] = /^(.*?)\bblocks\.(\d+)\.?(.*)$/.exec(name) ?? [];
    const look = LOOKS.find(({ matches }) => matches.test(name)) ?? { matches: /^/, title: `${before}${after}`, y: { label: 'value', scale: 'auto' } };
    const group = groups.get(look.title) ?? { look, curves: new Map<string, string[]>() };
    groups.set(look.title, group);
    const curve = block !== undefined ? `block ${block}` : name === 'embedding.rms' ? 'embedding' : 'outside the blocks';
    group.curves.set(curve, [...group.curves.get(curve) ?? [], name]);
  }
  return [...groups.values()].filter(({ curves }) => curves.size > 0);
}

function chartOf({ look, curves }: Group, readings: readonly MonitorMetrics[]): LineChart {
  const { title, y, parts, reference } = look;
  const series = parts === undefined ? seriesByBlock(look, curves, readings) : parts.map((name, i): Series => ({ name, style: i === 0 ? 'line' : 'dashed', points: pointsOf(readings, [...curves.values()].flat(), (values) => values[i] ?? NaN) }));
  const isNear = reference !== undefined && series.some(({ points }) => points.some(([, value]) => value > reference.from));
  return {
    title, x: { label: 'step' }, y, series, colors: parts === undefined && series.length > 1 ? 'ordered' : 'categories',
    ...(isNear && { references: [{ axis: 'y', at: reference.at, label: reference.label }] }),
  };
}

function seriesByBlock({ of = (values) => mean(values) ?? NaN }: Look, curves: Group['curves'], readings: readonly MonitorMetrics[]): Series[] {
  const place = (name: string): number => (name.startsWith('block ') ? Number(name.slice(6)) : -1);
  return [...curves].sort(([a], [b]) => place(a) - place(b)).map(([name, names]) => ({ name, points: pointsOf(readings, names, of) }));
}

/** One point for each reading that has one of the values. */
function pointsOf(readings: readonly MonitorMetrics[], names: readonly string[], of: (values: readonly number[]) => number): Point[] {
  return readings.flatMap(({ step, values }) => {
    const numbers = names.flatMap((name) => values[name] ?? []);
    return numbers.length === 0 ? [] : [[step, numbers.some(Number.isNaN) ? NaN : of(numbers)] as const];
  });
}

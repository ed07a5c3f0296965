import type { Axis, LineChart, PageSection } from '@evenkeel/training';
import type { RunCurves } from './curves.ts';
import { rateName, sizeNames } from './names.ts';
import type { RunResult } from './runResult.ts';
import type { SweepGroup, SweepSummary } from './summary.ts';

type Quantity = { readonly curve: keyof RunCurves; readonly title: string; readonly y: Axis };

const QUANTITIES: readonly Quantity[] = [
  { curve: 'entropy', title: 'Attention entropy', y: { label: 'share of the largest possible', fromZero: true, domain: [0, 1] } },
  { curve: 'maxLogit', title: 'Largest attention logit', y: { label: 'of all blocks and heads', scale: 'log' } },
  { curve: 'loss', title: 'Training loss', y: { label: 'loss', unit: 'nats' } },
  { curve: 'logPartition', title: 'Log-partition of the output', y: { label: 'ln Σ exp(logit)' } },
];

/** groupId — the name of a group's section, for links. */
export const groupId = ({ technique, dim, depth }: SweepGroup): string => `curves-${technique.replace(/[^\w]+/g, '-')}-${dim}-${depth}`;

/**
 * curveSections — for each technique and size, entropy, largest logit, loss and log-partition over the steps, a curve per learning rate. A
 * quantity has the same axis in all of them.
 */
export function curveSections({ sizes, groups }: SweepSummary): PageSection[] {
  const nameOf = sizeNames(sizes);
  const all = groups.flatMap(({ runs }) => runs);
  const domains = new Map(QUANTITIES.map((quantity) => [quantity.curve, domainOf(quantity, all)]));
  return groups.filter(({ runs }) => runs.length > 0).map((group) => ({
    heading: `${group.technique}, ${nameOf(group)}`, id: groupId(group),
    charts: QUANTITIES.map((quantity) => chartOf(quantity, group, domains.get(quantity.curve))),
    note: 'A curve for each learning rate. Entropy: mean over the heads of the block where it is lowest; 1 where a query looks at all tokens alike, 0 where it looks at one.',
  }));
}

function chartOf({ curve, title, y }: Quantity, { runs }: SweepGroup, domain: Axis['domain']): LineChart {
  const series = runs.map((run) => ({ name: `${rateName(run.learningRate)}${run.diverged === null ? '' : ' (diverged)'}`, points: run.curves[curve] }));
  return { title, x: { label: 'step' }, y: { ...y, domain }, series, colors: series.length > 1 ? 'ordered' : 'categories' };
}

/** What the values of all runs need. A loss above the one before training is cut off: it would flatten all others. */
function domainOf({ curve, y }: Quantity, runs: readonly RunResult[]): Axis['domain'] {
  if (y.domain !== undefined) return y.domain;
  const values = runs.flatMap(({ curves, initialLoss }) => curves[curve].map(([, value]) => (curve === 'loss' ? Math.min(value, 1.2 * initialLoss) : value)));
  const placed = y.scale === 'log' ? values.filter((value) => value > 0) : values;
  if (placed.length === 0) return undefined;
  const [low, high] = placed.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
  if (y.scale === 'log') return [low / 1.2, high * 1.2];
  return [low, high === low ? high + 1 : high];
}

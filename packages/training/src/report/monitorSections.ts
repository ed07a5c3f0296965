import { max, mean } from 'd3-array';
import type { Finding } from '@evenkeel/core-tensor';
import type { MonitorMetrics } from '../metrics.ts';
import type { Axis, LineChart, Series } from './chartTypes.ts';
import { counted } from './format.ts';
import type { PageSection } from './renderPage.ts';

/** How a quantity is shown: several numbers of one reading, such as one per head, become one by `of`. */
type Look = { readonly matches: RegExp; readonly title: string; readonly y: Axis; readonly of?: (values: readonly number[]) => number };

const LOOKS: readonly Look[] = [
  { matches: /entropy/i, title: 'Attention entropy', y: { label: 'mean over heads', unit: 'nats', fromZero: true } },
  { matches: /rowMax|maxLogit|logitMax/i, title: 'Largest attention logit', y: { label: 'largest of all heads', scale: 'log' }, of: (values) => max(values) ?? NaN },
  { matches: /logZ|logPartition|lse/i, title: 'Log-partition of the output', y: { label: 'log Σ exp(logit)', unit: 'nats' } },
  { matches: /rms/i, title: 'Root mean square', y: { label: 'RMS', scale: 'auto' } },
];

/** The quantities that say most about a run's stability; they come first, over the whole width. */
const IMPORTANT = ['Attention entropy', 'Largest attention logit'];

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
    const when = count === 1 ? `at step ${first.toLocaleString('en')}` : `in ${count.toLocaleString('en')} readings from step ${first.toLocaleString('en')} to ${last.toLocaleString('en')}`;
    return { text: `${finding.message} (${when})`, tone: 'warning' as const };
  });
  return [{ heading, badge: { text: counted(found.size, 'finding'), tone: 'warning' }, list }];
}

/**
 * monitorSections — a monitor's values as charts over the steps. Values whose names differ only in the block, `blocks.3.attn.entropy`,
 * are the curves of one chart, ordered from the first block to the last.
 */
export function monitorSections(readings: readonly MonitorMetrics[]): PageSection[] {
  const charts = [...groupsOf(readings)].map(([name, members]) => chartOf(name, members, readings));
  const isImportant = ({ title }: LineChart): boolean => IMPORTANT.some((each) => title.startsWith(each));
  const others = charts.filter((chart) => !isImportant(chart));
  return [
    ...IMPORTANT.flatMap((each) => charts.filter(({ title }) => title.startsWith(each))).map((chart) => ({ heading: chart.title, charts: [chart] })),
    ...(others.length === 0 ? [] : [{ heading: 'Other measurements', charts: others }]),
  ];
}

type Member = { readonly name: string; readonly label: string; readonly block: number };

/** Names by what they measure: the name without its block. */
function groupsOf(readings: readonly MonitorMetrics[]): Map<string, Member[]> {
  const groups = new Map<string, Member[]>();
  for (const name of new Set(readings.flatMap(({ values }) => Object.keys(values)))) {
    const [, before, block, after] = /^(.*?)\bblocks\.(\d+)\.?(.*)$/.exec(name) ?? [];
    const key = block === undefined ? name : `${before}${after}`;
    const members = groups.get(key) ?? [];
    groups.set(key, [...members, { name, label: block === undefined ? name : `block ${block}`, block: Number(block ?? -1) }]);
  }
  for (const members of groups.values()) members.sort((a, b) => a.block - b.block);
  return groups;
}

function chartOf(group: string, members: readonly Member[], readings: readonly MonitorMetrics[]): LineChart {
  const look = LOOKS.find(({ matches }) => matches.test(group));
  const reduce = look?.of ?? ((values: readonly number[]) => mean(values) ?? NaN);
  const series = members.map(({ name, label }): Series => ({
    name: label,
    points: readings.flatMap(({ step, values }) => (values[name] === undefined ? [] : [[step, reduce(values[name])] as const])),
  }));
  const title = look === undefined ? group : IMPORTANT.includes(look.title) ? look.title : `${look.title} of ${group}`;
  return { title, x: { label: 'step' }, y: look?.y ?? { label: group, scale: 'auto' }, series, colors: members.length > 1 ? 'ordered' : 'categories' };
}

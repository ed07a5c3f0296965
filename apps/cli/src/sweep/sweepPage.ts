import { renderPage, type Cell, type LineChart, type PageSection, type Point, type Tile } from '@evenkeel/training';
import { formatCount } from '../format.ts';
import { curveSections, groupId } from './curveSections.ts';
import { kindsFound, lossName, meaningsFound, rateName, sizeNames } from './names.ts';
import type { SweepPlan } from './sweepPlan.ts';
import { ratesDiffer, type SweepGroup, type SweepSummary } from './summary.ts';

/** sweepPage — a sweep as one HTML page: losses by learning rate, sensitivities, and of each technique and size its curves over the steps. */
export function sweepPage(summary: SweepSummary, { runs: planned }: SweepPlan, device: string): string {
  const { groups } = summary;
  const finished = groups.reduce((sum, { runs }) => sum + runs.length, 0);
  const { steps, batchSize, context } = planned[0].settings;
  return renderPage({
    title: 'Learning-rate sweep',
    status: `${finished === planned.length ? '' : `${finished} of `}${planned.length} runs of ${formatCount(steps)} steps of ${formatCount(batchSize * context)} tokens, on ${device}.`,
    tiles: tilesOf(groups),
    sections: [
      lossSection(summary), ...sensitivitySection(summary), groupSection(summary), ...findingsSection(groups, sizeNames(summary.sizes)), ...curveSections(summary),
      { heading: 'Configuration', table: { rows: configurationOf(planned) } },
    ],
    footer: 'Made by Evenkeel. Every number is in results.json beside this file.',
  });
}

function tilesOf(groups: readonly SweepGroup[]): Tile[] {
  const found = groups.flatMap(({ technique, best }) => (best === null ? [] : [{ technique, ...best }])).sort((a, b) => a.loss - b.loss)[0];
  const diverged = groups.reduce((sum, group) => sum + group.diverged, 0);
  return [
    ...(found === undefined ? [] : [{ name: 'Lowest loss', value: lossName(found.loss), note: `${found.technique}, learning rate ${rateName(found.learningRate)}` }]),
    { name: 'Diverged', value: String(diverged), note: `of ${groups.reduce((sum, { runs }) => sum + runs.length, 0)} runs, to NaN or infinity` },
  ];
}

const RATE = { label: 'learning rate', scale: 'log' } as const;

/** One chart per size, with the same axes, so that they compare at a glance. */
function lossSection(summary: SweepSummary): PageSection {
  const { sizes, groups, techniques } = summary;
  const nameOf = sizeNames(sizes);
  const heights = groups.flatMap(({ runs, initialLoss }) => [...runs.flatMap(({ loss }) => (loss === null ? [] : [Math.min(loss, initialLoss as number)])), ...(initialLoss === null ? [] : [initialLoss])]);
  const room = 0.05 * (Math.max(...heights) - Math.min(...heights));
  const domain = heights.length === 0 ? undefined : [Math.min(...heights) - room, Math.max(...heights) + room] as const;
  const charts = sizes.map((size): LineChart => {
    const here = groups.filter(({ dim, depth }) => dim === size.dim && depth === size.depth);
    const initial = here.find(({ initialLoss }) => initialLoss !== null)?.initialLoss;
    return {
      title: sizes.length === 1 ? 'Loss by learning rate' : nameOf(size), x: RATE, y: { label: 'validation loss', unit: 'nats', domain },
      series: here.map(({ technique, runs, initialLoss }) => ({
        name: technique, style: 'dots', color: techniques.findIndex(({ name }) => name === technique),
        points: runs.map(({ learningRate, loss }): Point => [learningRate, loss === null ? Infinity : Math.min(loss, initialLoss as number)]),
      })),
      references: initial === undefined || initial === null ? [] : [{ axis: 'y', at: initial, label: 'before training' }],
    };
  });
  return { heading: 'Loss by learning rate', charts, note: 'After the last step. A cross is a run that ended in NaN or infinity; a loss above the one before training is drawn there.' };
}

/** Sensitivity over the size of the model: where a technique keeps it from rising, larger models train as easily. */
function sensitivitySection({ sizes, techniques, groups }: SweepSummary): PageSection[] {
  const known = groups.filter(({ sensitivity, params }) => sensitivity !== null && params !== null);
  if (sizes.length < 2 || known.length < groups.length) return [];
  const { label, of } = measureOf(sizes);
  const series = techniques.map(({ name }) => ({
    name, style: 'dots' as const,
    points: known.filter(({ technique }) => technique === name).map((group): Point => [of(group), group.sensitivity as number]).sort(([a], [b]) => a - b),
  }));
  return [{ heading: 'Sensitivity by size', charts: [{ title: 'Sensitivity by size', x: { label, scale: 'log' }, y: { label: 'sensitivity', unit: 'nats', fromZero: true }, series }] }];
}

/** What tells the sizes apart: the width, the depth, or where both vary the number of parameters. */
function measureOf(sizes: SweepSummary['sizes']): { readonly label: string; of(group: SweepGroup): number } {
  const varies = (name: 'dim' | 'depth'): boolean => new Set(sizes.map((size) => size[name])).size > 1;
  if (!varies('depth')) return { label: 'width', of: ({ dim }) => dim };
  if (!varies('dim')) return { label: 'depth', of: ({ depth }) => depth };
  return { label: 'parameters', of: ({ params }) => params as number };
}

function groupSection({ sizes, groups }: SweepSummary): PageSection {
  const nameOf = sizeNames(sizes);
  const rows = groups.map((group): Cell[] => {
    const { technique, params, best, sensitivity, diverged, runs, initialLoss } = group;
    return [
      { text: `${technique}, ${nameOf(group)}`, ...(runs.length > 0 && { href: `#${groupId(group)}` }) }, params === null ? '' : formatCount(params), initialLoss === null ? '' : lossName(initialLoss),
      best === null ? '' : lossName(best.loss), best === null ? '' : rateName(best.learningRate), sensitivity === null ? '' : sensitivity.toFixed(3), diverged === 0 ? '0' : { text: String(diverged), tone: 'bad' },
    ];
  });
  return {
    heading: 'Techniques', table: { columns: ['', 'parameters', 'loss before', 'lowest loss', 'at learning rate', 'sensitivity', 'diverged'], rows },
    note: 'Sensitivity to the learning rate: the mean over the learning rates of the loss, at most that before training, minus the lowest loss '
      + '(arXiv:2309.14322). To be read beside the lowest loss: a model that learns nothing at any learning rate has 0.'
      + (ratesDiffer(groups) ? ' Techniques here have learning rates of their own: their sensitivities do not compare.' : ''),
  };
}

const MOST_FINDINGS = 40;

function findingsSection(groups: readonly SweepGroup[], nameOf: ReturnType<typeof sizeNames>): PageSection[] {
  const found = groups.flatMap((group) => group.runs.flatMap((run) => {
    const what = [...(run.diverged === null ? [] : [`diverged in step ${run.diverged.step} (${run.diverged.what})`]), kindsFound(run)].filter((each) => each !== '').join('; ');
    return what === '' ? [] : [{ text: `${run.technique}, ${nameOf(group)}, learning rate ${rateName(run.learningRate)}: ${what}`, tone: run.diverged === null ? 'warning' as const : 'bad' as const }];
  }));
  if (found.length === 0) return [];
  const more = found.length - MOST_FINDINGS;
  const meanings = meaningsFound(groups.flatMap(({ runs }) => runs));
  return [{ heading: 'What went wrong', list: [...found.slice(0, MOST_FINDINGS), ...(more > 0 ? [`And ${more} more.`] : [])], ...(meanings !== '' && { note: meanings }) }];
}

/** What all runs have in common; then the flags of each technique. */
function configurationOf(planned: SweepPlan['runs']): [string, string][] {
  const shared = Object.entries(planned[0].settings).filter(([name, value]) => planned.every(({ settings }) => (settings as unknown as Record<string, unknown>)[name] === value));
  return shared.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]);
}

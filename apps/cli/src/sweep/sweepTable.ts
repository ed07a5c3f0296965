import { lossName, rateName, sizeNames } from './names.ts';
import { ratesDiffer, type SweepGroup, type SweepSummary } from './summary.ts';

const WIDTH = 80;
const CELL = 7;
const LONGEST_NAME = 24;

/**
 * sweepTable — final losses by technique and learning rate, a block per size, and the sensitivity, in at most 80 columns; more learning
 * rates than fit stand in further blocks.
 */
export function sweepTable(summary: SweepSummary): string[] {
  const { sizes, techniques, learningRates, groups } = summary;
  const nameOf = sizeNames(sizes);
  const names = [...techniques.map(({ name }) => name), ...sizes.map(nameOf)];
  const first = Math.min(LONGEST_NAME, Math.max(...names.map((name) => name.length)));
  const perBlock = Math.max(1, Math.floor((WIDTH - first - SENSITIVITY.length - 2) / CELL));
  const blocks = chunks(learningRates, perBlock);
  return [
    'Validation loss after the last step (nats) by learning rate',
    ...sizes.flatMap((size) => blocks.flatMap((rates, i) => {
      const isLast = i === blocks.length - 1;
      const here = groups.filter(({ dim, depth, runs }) => dim === size.dim && depth === size.depth && (isLast || runs.some(({ learningRate }) => rates.includes(learningRate))));
      const rows = here.map((group) => rowOf(group, rates, first, isLast));
      return ['', `${cut(nameOf(size), first)}${rates.map((rate) => rateName(rate).padStart(CELL)).join('')}${isLast ? `  ${SENSITIVITY}` : ''}`, ...rows];
    })),
    '', ...legendOf(groups),
  ];
}

const SENSITIVITY = 'sensitivity';

function rowOf({ technique, runs, best, sensitivity }: SweepGroup, rates: readonly number[], first: number, isLast: boolean): string {
  const cells = rates.map((rate) => {
    const run = runs.find(({ learningRate }) => learningRate === rate);
    const text = run === undefined ? '' : run.loss === null ? '–' : `${rate === best?.learningRate ? '*' : ''}${lossName(run.loss)}`;
    return text.padStart(CELL);
  });
  const last = isLast ? `  ${(sensitivity === null ? '' : sensitivity.toFixed(3)).padStart(SENSITIVITY.length)}` : '';
  return `${cut(technique, first)}${cells.join('')}${last}`.trimEnd();
}

function legendOf(groups: readonly SweepGroup[]): string[] {
  const diverged = groups.some((group) => group.diverged > 0) ? ', – diverged (NaN or infinity)' : '';
  return [
    `* lowest of the row${diverged}`,
    ...(groups.some(({ sensitivity }) => sensitivity !== null) ? ['sensitivity: mean over the learning rates of the loss, at most that before', 'training, minus the lowest (arXiv:2309.14322)'] : []),
    ...(ratesDiffer(groups) ? ['learning rates differ between techniques: their sensitivities do not compare'] : []),
  ];
}

const cut = (name: string, width: number): string => (name.length <= width ? name.padEnd(width) : `${name.slice(0, width - 1)}…`);

const chunks = <T>(items: readonly T[], size: number): T[][] => Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));

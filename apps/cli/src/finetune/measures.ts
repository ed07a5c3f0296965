import { accuracy, answerF1, exactMatch, f1Score, matthews, pearson, spearman } from '@evenkeel/models-bert';
import type { Judged } from '../classified.ts';
import { entityF1 } from './entityF1.ts';

/** measuresOf — accuracy; of two classes F1 and Matthews' correlation, of more the mean of the F1 of each; that of the recipe first. */
export function measuresOf({ predicted, labels, numClasses }: Pick<Judged, 'predicted' | 'labels' | 'numClasses'>, first: string): Record<string, number> {
  const f1 = numClasses === 2 ? f1Score(predicted, labels) : Array.from({ length: numClasses }, (_, positive) => f1Score(predicted, labels, { positive })).reduce((sum, each) => sum + each, 0) / numClasses;
  const all: Record<string, number> = { accuracy: accuracy(predicted, labels), f1, ...(numClasses === 2 && { matthews: matthews(predicted, labels) }) };
  return { ...(first in all && { [first]: all[first] as number }), ...all };
}

/** numberMeasures — how well predicted numbers follow the true ones. */
export const numberMeasures = (said: ArrayLike<number>, wanted: ArrayLike<number>): Record<string, number> => ({ spearman: spearman(said, wanted), pearson: pearson(said, wanted) });

/** tagMeasures — F1 of entities, and the share of the words with the right tag. */
export function tagMeasures(said: readonly (readonly string[])[], wanted: readonly (readonly string[])[]): Record<string, number> {
  const [tags, right] = [said.flat(), wanted.flat()];
  return { f1: entityF1(said, wanted), accuracy: tags.filter((tag, i) => tag === right[i]).length / tags.length };
}

/** Answered — an answer beside those of people, and how good it is. */
export type Answered = { readonly said: string; readonly references: readonly string[]; readonly f1: number; readonly exact: number };

/** answered — judges an answer as SQuAD does. */
export const answered = (said: string, references: readonly string[]): Answered => ({ said, references, f1: answerF1(said, references), exact: exactMatch(said, references) });

/** answerMeasures — means over all answers. */
export function answerMeasures(all: readonly Answered[]): Record<string, number> {
  const mean = (valueOf: (of: Answered) => number): number => all.reduce((sum, each) => sum + valueOf(each), 0) / all.length;
  return { f1: mean(({ f1 }) => f1), exactMatch: mean(({ exact }) => exact) };
}

/** MEASURE_NAMES — for people. */
export const MEASURE_NAMES: Readonly<Record<string, string>> = { accuracy: 'accuracy', f1: 'F1', matthews: 'Matthews', exactMatch: 'exact match', pearson: 'Pearson', spearman: 'Spearman' };

const CORRELATIONS: readonly string[] = ['matthews', 'pearson', 'spearman'];

/** inWords — a measure for people: a share, or a correlation. */
export const inWords = (name: string, value: number): string => (CORRELATIONS.includes(name) ? value.toFixed(4) : `${(100 * value).toFixed(2)} %`);

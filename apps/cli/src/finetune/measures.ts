import { accuracy, f1Score, matthews } from '@evenkeel/models-bert';
import type { Judged } from '../classified.ts';

/** measuresOf — accuracy; of two classes F1 and Matthews' correlation, of more the mean of the F1 of each; that of the recipe first. */
export function measuresOf({ predicted, labels, numClasses }: Pick<Judged, 'predicted' | 'labels' | 'numClasses'>, first: string): Record<string, number> {
  const f1 = numClasses === 2 ? f1Score(predicted, labels) : Array.from({ length: numClasses }, (_, positive) => f1Score(predicted, labels, { positive })).reduce((sum, each) => sum + each, 0) / numClasses;
  const all: Record<string, number> = { accuracy: accuracy(predicted, labels), f1, ...(numClasses === 2 && { matthews: matthews(predicted, labels) }) };
  return { ...(first in all && { [first]: all[first] as number }), ...all };
}

/** MEASURE_NAMES — for people. */
export const MEASURE_NAMES: Readonly<Record<string, string>> = { accuracy: 'accuracy', f1: 'F1', matthews: 'Matthews', exactMatch: 'exact match' };

/** inWords — a measure for people: a share, or a correlation. */
export const inWords = (name: string, value: number): string => (name === 'matthews' ? value.toFixed(4) : `${(100 * value).toFixed(2)} %`);

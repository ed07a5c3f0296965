import { ConfigError, ShapeError } from '@evenkeel/core-tensor';

/** accuracy — the share of predictions that are the label. */
export function accuracy(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  const pairs = paired('accuracy', predictions, labels);
  return pairs.filter(([prediction, label]) => prediction === label).length / pairs.length;
}

/** confusionMatrix — how often each label (row) was predicted as each class (column). */
export function confusionMatrix(predictions: ArrayLike<number>, labels: ArrayLike<number>, numClasses: number): number[][] {
  const counts = Array.from({ length: numClasses }, () => new Array<number>(numClasses).fill(0));
  for (const [prediction, label] of paired('confusionMatrix', predictions, labels)) {
    const [row, stray] = [counts[label], [prediction, label].find((id) => !(Number.isInteger(id) && id >= 0 && id < numClasses))];
    if (stray !== undefined || row === undefined) throw new ConfigError(`confusionMatrix: classes must be integers below ${numClasses}, got ${stray}`);
    row[prediction] = (row[prediction] as number) + 1;
  }
  return counts;
}

/** f1Score — the harmonic mean of precision and recall of one class; 0 if it is neither predicted nor a label rightly. */
export function f1Score(predictions: ArrayLike<number>, labels: ArrayLike<number>, { positive = 1 }: { positive?: number } = {}): number {
  const { tp, fp, fn } = outcomes(paired('f1Score', predictions, labels), positive);
  return tp === 0 ? 0 : (2 * tp) / (2 * tp + fp + fn);
}

/**
 * matthews — the correlation of two classes with the labels, −1 to 1; 0 if all predictions or all labels are one class. For CoLA.
 *
 * Source: Matthews 1975.
 */
export function matthews(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  const { tp, fp, fn, tn } = outcomes(paired('matthews', predictions, labels), 1);
  const scale = Math.sqrt(tp + fp) * Math.sqrt(tp + fn) * Math.sqrt(tn + fp) * Math.sqrt(tn + fn);
  return scale === 0 ? 0 : Math.max(-1, Math.min(1, (tp * tn - fp * fn) / scale)); // rounding may lead beyond
}

/** pearson — the linear correlation of predicted numbers with the labels, −1 to 1; 0 if either are all one number. */
export function pearson(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  const pairs = paired('pearson', predictions, labels);
  const meanOf = (at: 0 | 1): number => pairs.reduce((sum, pair) => sum + pair[at], 0) / pairs.length;
  const [x, y] = [meanOf(0), meanOf(1)];
  const sumOf = (term: (dx: number, dy: number) => number): number => pairs.reduce((sum, [prediction, label]) => sum + term(prediction - x, label - y), 0);
  const scale = Math.sqrt(sumOf((dx) => dx * dx)) * Math.sqrt(sumOf((_, dy) => dy * dy));
  return scale === 0 ? 0 : Math.max(-1, Math.min(1, sumOf((dx, dy) => dx * dy) / scale)); // rounding may lead beyond
}

/**
 * spearman — the correlation of the ranks, equal numbers sharing the mean of theirs: how far the order is that of the labels. For STS-B.
 *
 * Source: Spearman 1904.
 */
export function spearman(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  paired('spearman', predictions, labels);
  return pearson(ranks(predictions), ranks(labels));
}

function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from(values, (_, i) => i).sort((i, j) => (values[i] as number) - (values[j] as number));
  const found = new Float64Array(order.length);
  for (let first = 0, end = 1; first < order.length; first = end++) {
    while (end < order.length && values[order[end] as number] === values[order[first] as number]) end++;
    for (const index of order.slice(first, end)) found[index] = (first + end - 1) / 2;
  }
  return found;
}

/** exactMatch — 1 if the answer is one of the references but for case, ASCII punctuation and English articles, as SQuAD's script has it. */
export function exactMatch(answer: string, references: readonly string[]): number {
  return references.some((reference) => normalised(reference) === normalised(answer)) ? 1 : 0;
}

/**
 * answerF1 — how far the words of an answer are those of the reference most like it, counted as often as they occur.
 *
 * Source: Rajpurkar et al. 2016, arXiv:1606.05250, §6.1.
 */
export function answerF1(answer: string, references: readonly string[]): number {
  return Math.max(0, ...references.map((reference) => wordF1(words(answer), words(reference))));
}

function wordF1(found: readonly string[], wanted: readonly string[]): number {
  if (found.length === 0 || wanted.length === 0) return found.length === wanted.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  const common = found.filter((word) => {
    const count = left.get(word) ?? 0;
    left.set(word, count - 1);
    return count > 0;
  }).length;
  return (2 * common) / (found.length + wanted.length);
}

const normalised = (text: string): string => text.toLowerCase().replace(/[!-/:-@[-`{-~]/g, '').replace(/(?<![\p{L}\p{N}_])(a|an|the)(?![\p{L}\p{N}_])/gu, ' ').replace(/\s+/g, ' ').trim();
const words = (text: string): string[] => normalised(text).split(' ').filter((word) => word !== '');

function outcomes(pairs: readonly (readonly [number, number])[], positive: number): { tp: number; fp: number; fn: number; tn: number } {
  const count = (predicted: boolean, real: boolean): number => pairs.filter(([prediction, label]) => (prediction === positive) === predicted && (label === positive) === real).length;
  return { tp: count(true, true), fp: count(true, false), fn: count(false, true), tn: count(false, false) };
}

function paired(fn: string, predictions: ArrayLike<number>, labels: ArrayLike<number>): (readonly [prediction: number, label: number])[] {
  if (predictions.length !== labels.length) throw new ShapeError(`${fn}: predictions must be as many as the ${labels.length} labels, got ${predictions.length}`);
  if (labels.length === 0) throw new ConfigError(`${fn}: labels must hold at least one, got none`);
  return Array.from(labels, (label, i) => [predictions[i] as number, label] as const);
}

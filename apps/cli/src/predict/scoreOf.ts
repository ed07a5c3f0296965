import { answered, answerMeasures, measuresOf, numberMeasures } from '../finetune/measures.ts';
import type { Predicted, Prediction } from './prediction.ts';

/** Scored — what was measured beside the labels of a file; or, for people, why nothing was. */
type Scored = Pick<Predicted, 'score' | 'notes'>;

type Labels = readonly (string | undefined)[];

const isLabelled = (labels: Labels): boolean => labels.some((label) => label !== undefined);

/** scoreOf — accuracy, F1 and the like of predicted classes beside the labels of their file: names of classes, or their numbers. */
export function scoreOf(predictions: readonly Prediction[], labels: Labels, classes: readonly string[]): Scored {
  if (!isLabelled(labels)) return { notes: [] };
  const areNames = labels.every((label) => label !== undefined && classes.includes(label));
  const ids = labels.map((label) => (areNames ? classes.indexOf(label as string) : /^\d+$/.test(label ?? '') ? Number(label) : -1));
  const stray = ids.findIndex((id) => id < 0 || id >= classes.length);
  if (stray >= 0) return { notes: [`nothing measured: the label ${JSON.stringify(labels[stray]?.slice(0, 40) ?? '')} is no class of the model`] };
  return { notes: [], score: measuresOf({ predicted: Int32Array.from(predictions, ({ label }) => classes.indexOf(label)), labels: Int32Array.from(ids), numClasses: classes.length }, 'accuracy') };
}

/** numberScoreOf — correlations of predicted numbers with the labels of their file. */
export function numberScoreOf(predictions: readonly Prediction[], labels: Labels): Scored {
  if (!isLabelled(labels)) return { notes: [] };
  const stray = labels.find((label) => label === undefined || label === '' || !Number.isFinite(Number(label)));
  if (stray !== undefined) return { notes: [`nothing measured: the label ${JSON.stringify(stray.slice(0, 40))} is no number`] };
  return { notes: [], score: numberMeasures(predictions.map(({ value }) => value as number), labels.map(Number)) };
}

/** answerScoreOf — F1 and exact match of the answers to those questions that have some. */
export function answerScoreOf(predictions: readonly Prediction[], references: readonly (readonly string[])[]): Scored {
  const judged = predictions.flatMap(({ label }, i) => (references[i]?.length === 0 ? [] : [answered(label, references[i] as readonly string[])]));
  if (judged.length === 0) return { notes: [] };
  return { score: answerMeasures(judged), notes: judged.length === predictions.length ? [] : [`measured on the ${judged.length} questions with answers, of ${predictions.length}`] };
}

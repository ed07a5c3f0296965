import { measuresOf } from '../finetune/measures.ts';
import type { Prediction } from './prediction.ts';

/**
 * scoreOf — accuracy, F1 and the like of predicted classes beside the labels of their file: names of classes, or their numbers. Nothing where
 * a label is neither.
 */
export function scoreOf(predictions: readonly Prediction[], labels: readonly (string | undefined)[], classes: readonly string[]): Record<string, number> | undefined {
  const areNames = labels.every((label) => label !== undefined && classes.includes(label));
  const ids = labels.map((label) => (areNames ? classes.indexOf(label as string) : /^\d+$/.test(label ?? '') ? Number(label) : -1));
  if (ids.some((id) => id < 0 || id >= classes.length)) return undefined;
  return measuresOf({ predicted: Int32Array.from(predictions, ({ label }) => classes.indexOf(label)), labels: Int32Array.from(ids), numClasses: classes.length }, 'accuracy');
}

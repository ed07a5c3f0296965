import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { atomicWriteFile, readJsonFile } from '@evenkeel/checkpoint';
import { isCount, isObject } from '../fields.ts';
import type { Task } from '../task.ts';

/** BEST — where the best model of a run is kept, in the directory of the run. */
export const BEST = 'best';

/** Where it says of which step it is, written last. */
const RECORD = 'best.json';

/** BestModel — the step, and by what it is the best; of equal ones that with the lowest loss. */
export type BestModel = { readonly step: number; readonly metric: string; readonly value: number; readonly loss: number };

/** bestModel — which model is the best of a run so far, if one has been kept. */
export async function bestModel(directory: string): Promise<BestModel | undefined> {
  const found: unknown = await readJsonFile(join(directory, BEST, RECORD)).catch(() => undefined);
  return isObject(found) && isCount(found['step']) && typeof found['value'] === 'number' ? found as unknown as BestModel : undefined;
}

/**
 * keepBest — saves a model if it is better than the best one of its run so far. A run that was killed and repeats steps comes to the same
 * values again, and so to the same best model.
 */
async function keepBest(directory: string, candidate: BestModel, save: (directory: string) => Promise<void>): Promise<void> {
  const best = await bestModel(directory);
  if (best !== undefined && !isBetter(candidate, best) && best.step !== candidate.step) return;
  mkdirSync(join(directory, BEST), { recursive: true });
  await save(join(directory, BEST));
  await atomicWriteFile(join(directory, BEST, RECORD), `${JSON.stringify(candidate, null, 2)}\n`);
}

/** keepingBest — what a task does after each evaluation to keep the model with the largest value of a metric. */
export const keepingBest = (metric: string, save: Task['save']): NonNullable<Task['evaluated']> =>
  (directory, { step, values }) => keepBest(directory, { step, metric, value: values[metric] as number, loss: values['loss'] as number }, save);

const isBetter = (a: BestModel, b: BestModel): boolean => a.value > b.value || (a.value === b.value && a.loss < b.loss);

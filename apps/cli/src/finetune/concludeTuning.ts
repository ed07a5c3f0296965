import { join } from 'node:path';
import type { PageSection } from '@evenkeel/training';
import { shellWord } from '../programName.ts';
import type { Conclusion } from '../task.ts';
import { BEST, bestModel } from './bestModel.ts';
import { inWords, MEASURE_NAMES } from './measures.ts';

/** concludeTuning — what is said of a fine-tuned model: what was measured at the end, and which model was the best. */
export async function concludeTuning(
  directory: string, { loss, values = {}, of = '', notes = [], sections = [] }: { loss?: number; values?: Readonly<Record<string, number>>; of?: string; notes?: readonly string[]; sections?: readonly PageSection[] },
): Promise<Conclusion> {
  const best = await bestModel(directory);
  const named = Object.entries(values).map(([name, value]) => [MEASURE_NAMES[name] ?? name, inWords(name, value)] as const);
  const bestSays = best && `step ${best.step}, ${MEASURE_NAMES[best.metric] ?? best.metric} ${inWords(best.metric, best.value)}, in ${join(directory, BEST)}`;
  return {
    ...(loss !== undefined && { valLoss: loss }),
    fields: { ...values, best: best === undefined ? null : { ...best, checkpoint: join(directory, BEST) } },
    measured: [...(loss === undefined ? [] : [['validation loss', `${loss.toFixed(4)} over ${of}`] as const]), ...named, ...(bestSays === undefined ? [] : [['best model', bestSays] as const]), ...notes.map((note) => ['note', note] as const)],
    tiles: [
      ...named.map(([name, value]) => ({ name: `${name[0]?.toUpperCase()}${name.slice(1)}`, value, note: `of ${of}` })),
      ...(best === undefined ? [] : [{ name: 'Best model', value: `step ${best.step}`, note: `${MEASURE_NAMES[best.metric] ?? best.metric} ${inWords(best.metric, best.value)}` }]),
    ],
    sections,
    next: ['Use the model', `predict --checkpoint ${shellWord(best === undefined ? directory : join(directory, BEST))} …`],
  };
}

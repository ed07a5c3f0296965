import { foldSeed } from '@evenkeel/core-tensor';
import { oneEpochSampler } from '@evenkeel/data';
import { labelledBatch, type TokenSequence } from '@evenkeel/models-bert';
import { encodeTexts, unknownNotes } from '../bert/encoding.ts';
import { counted, formatCount } from '../format.ts';
import { spread } from '../statistics.ts';
import type { Task } from '../task.ts';
import { keepingBest } from './bestModel.ts';
import { concludeTuning } from './concludeTuning.ts';
import type { FinetuneSettings } from './finetuneSettings.ts';
import { numberMeasures } from './measures.ts';
import { recipeOf } from './recipes.ts';
import { cutNotes, longestOf, type Words } from './textClassification.ts';
import { scoreTexts } from './textClasses.ts';
import type { ScoredExample, Split } from './textExamples.ts';
import type { TunedBert } from './tunedBert.ts';

/** Rows of an evaluation during training, and of a page. */
const [EVAL_ROWS, SHOWN] = [1000, 24] as const;

/** textRegressionTask — a number for each text or pair of texts. */
export function textRegressionTask(settings: FinetuneSettings, { tuned, words, examples, notes: says }: { tuned: TunedBert; words: Words; examples: Split<ScoredExample>; notes: readonly string[] }): Task {
  const { model, params, parts } = tuned;
  const { tokenizer, specials, specials: { padId } } = words;
  const { batchSize, seed, data, task } = settings;
  const encoder = { tokenizer, specials, maxLength: longestOf(settings, tuned), hasSegments: tuned.hasSegments };
  const [train, val] = [encodeTexts(examples.train, encoder), encodeTexts(examples.val, encoder)];
  const notes = [...says, ...unknownNotes([...train.sequences, ...val.sequences], words), ...cutNotes({ train, val }, settings, encoder.maxLength)];
  const order = oneEpochSampler({ count: train.sequences.length, batchSize, seed: foldSeed(seed, 'data'), allowRepeat: true });
  const measure = async (most: number) => {
    const chosen = spread(examples.val.length, most);
    const wanted = chosen.map((i) => (examples.val[i] as ScoredExample).score);
    const said = await scoreTexts({ model, params, padId }, chosen.map((i) => val.sequences[i] as TokenSequence), 2 * batchSize);
    return { said, values: numberMeasures(said, wanted), loss: wanted.reduce((sum, score, i) => sum + (score - (said[i] as number)) ** 2, 0) / wanted.length };
  };
  const save = (directory: string): Promise<void> => tuned.save(directory, { tokenizer });
  const hasVal = examples.val.length > 0;
  return {
    ...parts, save,
    batches: (step) => labelledBatch([...order.indices(step)].map((i) => ({ ...train.sequences[i] as TokenSequence, label: (examples.train[i] as ScoredExample).score })), { padId, dtype: 'float32' }),
    ...(hasVal && {
      evaluate: async () => {
        const { loss, values } = await measure(EVAL_ROWS);
        return { loss, values };
      },
      evaluated: keepingBest(recipeOf(task).metric, save),
    }),
    perStep: { count: batchSize, unit: 'sequences' },
    facts: {},
    about: [
      ['data', data], ['', `${counted(examples.train.length, 'row')} to train, ${formatCount(examples.val.length)} to validate, a number for each`],
      ...notes.map((note) => ['', note] as const), ...tuned.about,
    ],
    conclude: async (io, directory) => {
      if (!hasVal) return concludeTuning(directory, {});
      io.line(`evaluating on ${counted(examples.val.length, 'row')} …`);
      const { loss, values, said } = await measure(Infinity);
      const distance = (i: number): number => Math.abs((said[i] as number) - (examples.val[i] as ScoredExample).score);
      const rows = examples.val.map((_, i) => i).sort((i, j) => distance(j) - distance(i)).slice(0, SHOWN).map((i) => {
        const { text, pair, score } = examples.val[i] as ScoredExample;
        return [pair === undefined ? text : `${text} — ${pair}`, score, (said[i] as number).toFixed(3)] as const;
      });
      return concludeTuning(directory, {
        loss, values, of: counted(examples.val.length, 'row'),
        sections: [{ heading: 'Predictions', table: { columns: ['text', 'true', 'predicted'], rows }, note: 'The farthest from the truth come first. The loss is the mean squared error.' }],
      });
    },
  };
}

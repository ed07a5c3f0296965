import { foldSeed } from '@evenkeel/core-tensor';
import { oneEpochSampler, type Tokenizer } from '@evenkeel/data';
import { labelledBatch, type SpecialTokens, type TokenSequence } from '@evenkeel/models-bert';
import { encodeTexts, LONGEST, unknownNotes, type Encoded } from '../bert/encoding.ts';
import { judged, type Judged } from '../classified.ts';
import { UsageError } from '../errors.ts';
import { counted, formatCount } from '../format.ts';
import { confusionSection, rowSection } from '../predictionSections.ts';
import { spread } from '../statistics.ts';
import type { Conclusion, Task } from '../task.ts';
import type { FinetuneSettings } from './finetuneSettings.ts';
import { concludeTuning } from './concludeTuning.ts';
import { measuresOf } from './measures.ts';
import { recipeOf } from './recipes.ts';
import { classifyTexts } from './textClasses.ts';
import type { ClassExample, Split } from './textExamples.ts';
import { keepingBest } from './bestModel.ts';
import type { TunedBert } from './tunedBert.ts';

/** Rows of an evaluation during training. */
const EVAL_ROWS = 1000;

/** Words of the tokenizer that belongs to a model. */
export type Words = { readonly tokenizer: Tokenizer; readonly specials: SpecialTokens };

/** textClassificationTask — classes of texts or pairs of them. */
export function textClassificationTask(settings: FinetuneSettings, { tuned, words, examples, classes, notes: says }: {
  tuned: TunedBert; words: Words; examples: Split<ClassExample>; classes: readonly string[]; notes: readonly string[];
}): Task {
  const { model, params, parts } = tuned;
  const { tokenizer, specials, specials: { padId } } = words;
  const { batchSize, seed, data, task, learningRate } = settings;
  const encoder = { tokenizer, specials, maxLength: longestOf(settings, tuned), hasSegments: tuned.hasSegments };
  const [train, val] = [encodeTexts(examples.train, encoder), encodeTexts(examples.val, encoder)];
  const notes = [...says, ...unknownNotes([...train.sequences, ...val.sequences], words), ...cutNotes({ train, val }, settings, encoder.maxLength)];
  const order = oneEpochSampler({ count: train.sequences.length, batchSize, seed: foldSeed(seed, 'data'), allowRepeat: true });
  const { metric } = recipeOf(task);
  const judge = async (indices: readonly number[]): Promise<Judged> => judged(
    await classifyTexts({ model, params, padId }, indices.map((i) => val.sequences[i] as TokenSequence), 2 * batchSize), indices.map((i) => (examples.val[i] as ClassExample).id));
  const save = (directory: string): Promise<void> => tuned.save(directory, { tokenizer, classes });
  return {
    ...parts, save,
    batches: (step) => labelledBatch([...order.indices(step)].map((i) => ({ ...train.sequences[i] as TokenSequence, label: (examples.train[i] as ClassExample).id })), { padId }),
    ...(examples.val.length > 0 && {
      evaluate: async () => {
        const found = await judge(spread(examples.val.length, EVAL_ROWS));
        return { loss: found.loss, values: measuresOf(found, metric) };
      },
      evaluated: keepingBest(metric, save),
    }),
    perStep: { count: batchSize, unit: 'sequences' },
    facts: { classes },
    about: [
      ['data', data], ['', `${counted(examples.train.length, 'row')} to train, ${formatCount(examples.val.length)} to validate, ${classes.length} classes`],
      ...notes.map((note) => ['', note] as const),
      ...tuned.about,
    ],
    conclude: async (io, directory): Promise<Conclusion> => {
      if (examples.val.length === 0) return concludeTuning(directory, {});
      io.line(`evaluating on ${counted(examples.val.length, 'row')} …`);
      const found = await judge(spread(examples.val.length, Infinity));
      const textOf = (i: number): string => { const { text, pair } = examples.val[i] as ClassExample; return pair === undefined ? text : `${text} — ${pair}`; };
      return concludeTuning(directory, {
        loss: found.loss, values: measuresOf(found, metric), of: counted(found.labels.length, 'row'), notes: oneClassNotes(found, classes, learningRate),
        sections: [...confusionSection(found, classes), ...rowSection(found, classes, textOf)],
      });
    },
  };
}

/** longestOf — the longest sequence: as long as the model's, or as the command line says. */
export function longestOf({ maxLength }: Pick<FinetuneSettings, 'maxLength'>, { contextLength }: Pick<TunedBert, 'contextLength'>): number {
  if (maxLength !== null && maxLength > contextLength) throw new UsageError(`--max-length must be at most the ${contextLength} positions of the checkpoint, got ${maxLength}`);
  return maxLength ?? Math.min(contextLength, LONGEST);
}

/** oneClassNotes — says that a model has learned nothing but one class, and what to try. */
function oneClassNotes({ predicted, labels }: Judged, classes: readonly string[], learningRate: number): string[] {
  if (new Set(predicted).size > 1 || new Set(labels).size === 1) return [];
  return [`all predictions are ${classes[predicted[0] as number]}; try --learning-rate ${Number((3 * learningRate).toPrecision(1))}, or more --epochs`];
}

/** cutNotes — says how many rows were too long, or refuses them, naming the first one of its file. */
export function cutNotes({ train, val }: { readonly train: Pick<Encoded, 'cut'>; readonly val: Pick<Encoded, 'cut'> }, { tooLong, data, valData }: Pick<FinetuneSettings, 'tooLong' | 'data' | 'valData'>, maxLength: number): string[] {
  const inOrder = (lines: readonly number[]): number[] => [...lines].sort((a, b) => a - b);
  const found = [{ of: 'training', path: data, lines: inOrder(train.cut) }, { of: 'validation', path: valData ?? data, lines: inOrder(val.cut) }].filter(({ lines }) => lines.length > 0);
  const [first] = found;
  if (first === undefined) return [];
  if (tooLong === 'refuse') {
    const [line, ...others] = inOrder(found.flatMap(({ path, lines }) => (path === first.path ? lines : [])));
    throw new UsageError(`--too-long refuse: rows must have at most ${maxLength} tokens, got more on line ${line} of ${first.path}${others.length > 0 ? ` and in ${counted(others.length, 'other row')}` : ''}`);
  }
  return found.map(({ of, lines }) => `${counted(lines.length, `${of} row`)} longer than ${maxLength} tokens cut at the end, the first on line ${lines[0]}`);
}

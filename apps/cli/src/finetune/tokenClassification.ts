import { foldSeed } from '@evenkeel/core-tensor';
import { oneEpochSampler, type TaggedSentence } from '@evenkeel/data';
import { labelledBatch } from '@evenkeel/models-bert';
import type { Cell } from '@evenkeel/training';
import { unknownNotes } from '../bert/encoding.ts';
import { judged, type Judged } from '../classified.ts';
import { UsageError } from '../errors.ts';
import { counted, formatCount } from '../format.ts';
import { confusionSection } from '../predictionSections.ts';
import { spread } from '../statistics.ts';
import type { Task } from '../task.ts';
import { keepingBest } from './bestModel.ts';
import { concludeTuning } from './concludeTuning.ts';
import type { FinetuneSettings } from './finetuneSettings.ts';
import { tagMeasures } from './measures.ts';
import { classifyWords, encodeWords, tagsOf, type Tagged } from './tagging.ts';
import { cutNotes, longestOf, type Words } from './textClassification.ts';
import type { Split } from './textExamples.ts';
import type { TunedBert } from './tunedBert.ts';

/** Sentences of an evaluation during training, and of a page. */
const [EVAL_SENTENCES, SHOWN] = [500, 24] as const;
const IGNORED = -100;

/** tagsIn — the tags of some sentences, in the order of the alphabet. */
export const tagsIn = (sentences: readonly TaggedSentence[]): string[] => [...new Set(sentences.flatMap(({ tags }) => tags))].sort();

/** checkTags — throws UsageError unless all tags are among those of the training sentences; names file and line. */
export function checkTags(sentences: readonly TaggedSentence[], tags: readonly string[], path: string): void {
  for (const { tags: own, line } of sentences) {
    const at = own.findIndex((tag) => !tags.includes(tag));
    if (at >= 0) throw new UsageError(`--val-data must have tags among ${tags.join(', ')}, got ${own[at]} on line ${line + at} of ${path}`);
  }
}

/** tokenClassificationTask — a tag for each word of a sentence; of a word in several tokens the first one counts, and words that were cut are measured as tagged O. */
export function tokenClassificationTask(settings: FinetuneSettings, { tuned, words, examples, classes }: { tuned: TunedBert; words: Words; examples: Split<TaggedSentence>; classes: readonly string[] }): Task {
  const { model, params, parts } = tuned;
  const { batchSize, seed, data } = settings;
  const { tokenizer, specials, specials: { padId } } = words;
  const encoder = { tokenizer, specials, maxLength: longestOf(settings, tuned), hasSegments: tuned.hasSegments };
  const encoded = (sentences: readonly TaggedSentence[]): { sentences: Tagged[]; cut: number[] } => {
    const all = sentences.map(({ words: each }) => encodeWords(each, encoder));
    return { sentences: all, cut: sentences.flatMap(({ words: each, line }, i) => ((all[i] as Tagged).firsts.length < each.length ? [line] : [])) };
  };
  const [train, val] = [encoded(examples.train), encoded(examples.val)];
  const notes = [...unknownNotes([...train.sentences, ...val.sentences], words), ...cutNotes({ train, val }, settings, encoder.maxLength)];
  const idOf = new Map(classes.map((tag, id) => [tag, id]));
  const labelOf = (i: number): Int32Array => {
    const { ids, firsts } = train.sentences[i] as Tagged;
    const label = new Int32Array(ids.length).fill(IGNORED);
    firsts.forEach((first, w) => { if (first >= 0) label[first] = idOf.get(examples.train[i]?.tags[w] as string) as number; });
    return label;
  };
  const order = oneEpochSampler({ count: train.sentences.length, batchSize, seed: foldSeed(seed, 'data'), allowRepeat: true });
  const measure = async (most: number): Promise<{ found: Judged; said: string[][]; values: Record<string, number> }> => {
    const chosen = spread(val.sentences.length, most);
    const tagged = chosen.map((i) => val.sentences[i] as Tagged);
    const kept = chosen.map((i, place) => (tagged[place] as Tagged).firsts.flatMap((first, w) => (first < 0 ? [] : [examples.val[i]?.tags[w] as string])));
    const found = judged(await classifyWords({ model, params, padId }, tagged, 2 * batchSize), kept.flat().map((tag) => idOf.get(tag) as number));
    const wanted = chosen.map((i) => (examples.val[i] as TaggedSentence).tags);
    const said = tagsOf(tagged, wanted.map(({ length }) => length), found.predicted, classes);
    return { found, said, values: tagMeasures(said, wanted) };
  };
  const save = (directory: string): Promise<void> => tuned.save(directory, { tokenizer, classes });
  const hasVal = examples.val.length > 0;
  return {
    ...parts, save,
    batches: (step) => labelledBatch([...order.indices(step)].map((i) => ({ ids: (train.sentences[i] as Tagged).ids, label: labelOf(i) })), { padId }),
    ...(hasVal && {
      evaluate: async () => {
        const { found, values } = await measure(EVAL_SENTENCES);
        return { loss: found.loss, values };
      },
      evaluated: keepingBest('f1', save),
    }),
    perStep: { count: batchSize, unit: 'sequences' },
    facts: { classes },
    about: [
      ['data', data], ['', `${formatCount(examples.train.length)} sentences to train, ${formatCount(examples.val.length)} to validate, ${classes.length} tags`],
      ...notes.map((note) => ['', note] as const), ...tuned.about,
    ],
    conclude: async (io, directory) => {
      if (!hasVal) return concludeTuning(directory, {});
      io.line(`evaluating on ${counted(examples.val.length, 'sentence')} …`);
      const { found, said, values } = await measure(Infinity);
      const wrongIn = (i: number): number => (said[i] as string[]).filter((tag, w) => tag !== examples.val[i]?.tags[w]).length;
      const sentence = (i: number): TaggedSentence => examples.val[i] as TaggedSentence;
      const withTag = (word: string, tag: string): string => (tag === 'O' ? word : `${word}/${tag}`);
      const wanted = (i: number): string => sentence(i).words.map((word, w) => withTag(word, sentence(i).tags[w] as string)).join(' ');
      const judgedWords = (i: number, tags: readonly string[]): Cell => ({
        parts: tags.map((tag, w) => (tag === sentence(i).tags[w] ? withTag(sentence(i).words[w] as string, tag) : { text: `${sentence(i).words[w]}/${tag}`, tone: 'bad' })),
      });
      const rows = said.map((_, i) => i).sort((a, b) => wrongIn(b) - wrongIn(a)).slice(0, SHOWN)
        .map((i) => [wanted(i), judgedWords(i, said[i] as string[]), wrongIn(i)] as const);
      return concludeTuning(directory, {
        loss: found.loss, values, of: counted(examples.val.length, 'sentence'),
        sections: [...confusionSection(found, classes), { heading: 'Predictions', table: { columns: ['true', 'predicted', 'wrong tags'], rows }, note: 'The sentences with most mistakes come first; tags in red are wrong.' }],
      });
    },
  };
}

import { readConll, readText, type TaggedSentence } from '@evenkeel/data';
import { splitWords, type HeadedParams } from '@evenkeel/models-bert';
import type { AnyBert } from '../bert/bertModel.ts';
import { unknownNotes, type Encoder } from '../bert/encoding.ts';
import { tagMeasures } from '../finetune/measures.ts';
import { classifyWords, encodeWords, tagsOf } from '../finetune/tagging.ts';
import type { Predicted, Prediction } from './prediction.ts';

/** Tagger — a model that tags words. */
export type Tagger = { readonly model: AnyBert; readonly params: HeadedParams; readonly specials: { readonly padId: number }; readonly classes?: readonly string[] };

/** tagTexts — the words of texts with their tags; and how many texts were cut. */
export async function tagTexts(tagger: Tagger, encoder: Encoder, texts: readonly string[], batchSize: number): Promise<Predicted> {
  const { said: _, ...predicted } = await tagWords(tagger, encoder, texts.map((text) => splitWords(text).map(([start, end]) => text.slice(start, end))), { batchSize, inputs: texts });
  return predicted;
}

/** tagSentences — the same of sentences that are cut into words already, beside the tags that they have. */
export async function tagSentences(tagger: Tagger, encoder: Encoder, sentences: readonly TaggedSentence[], batchSize: number): Promise<Predicted> {
  const { said, ...predicted } = await tagWords(tagger, encoder, sentences.map(({ words }) => words), { batchSize, inputs: sentences.map(({ words }) => words.join(' ')) });
  return { ...predicted, score: tagMeasures(said, sentences.map(({ tags }) => tags)) };
}

/** readTagged — the sentences of a file with a word and its tag per line, or nothing if it is none: not every line of its first sentence ends in one of the tags. */
export async function readTagged(path: string, tags: readonly string[]): Promise<TaggedSentence[] | undefined> {
  const lines = (await readText(path)).split('\n').map((line) => line.trim()).filter((line) => !line.startsWith('-DOCSTART-'));
  const start = lines.findIndex((line) => line !== '');
  const end = lines.findIndex((line, i) => i > start && line === '');
  const first = lines.slice(start, end < 0 ? undefined : end).map((line) => line.split(/[ \t]+/));
  return start >= 0 && first.every((columns) => columns.length > 1 && tags.includes(columns.at(-1) as string)) ? readConll(path) : undefined;
}

async function tagWords({ model, params, specials: { padId }, classes = [] }: Tagger, encoder: Encoder, split: readonly (readonly string[])[], { batchSize, inputs }: { batchSize: number; inputs: readonly string[] }): Promise<Predicted & { said: string[][] }> {
  const sentences = split.map((words) => encodeWords(words, encoder));
  const { predicted } = await classifyWords({ model, params, padId }, sentences, batchSize);
  const said = tagsOf(sentences, split.map(({ length }) => length), predicted, classes);
  const predictions = sentences.map(({ firsts }, i): Prediction => {
    const words = firsts.flatMap((first, w): [string, string][] => (first < 0 ? [] : [[split[i]?.[w] as string, said[i]?.[w] as string]]));
    return { input: inputs[i] as string, label: words.map(([word, tag]) => `${word}/${tag}`).join(' '), words };
  });
  return { predictions, said, cut: sentences.filter(({ firsts }, i) => firsts.length < (split[i] as readonly string[]).length).length, notes: unknownNotes(sentences, encoder) };
}

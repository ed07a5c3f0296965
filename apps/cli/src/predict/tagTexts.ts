import type { HeadedParams } from '@evenkeel/models-bert';
import type { AnyBert } from '../bert/bertModel.ts';
import { unknownNotes, type Encoder } from '../bert/encoding.ts';
import { classifyWords, encodeWords } from '../finetune/tagging.ts';
import type { Prediction } from './prediction.ts';

/** Tagger — a model that tags words. */
export type Tagger = { readonly model: AnyBert; readonly params: HeadedParams; readonly specials: { readonly padId: number }; readonly classes?: readonly string[] };

/** Runs of letters, digits and marks, and everything else but spaces by itself. */
const WORD = /[\p{L}\p{M}\p{N}]+|[^\s\p{L}\p{M}\p{N}]/gu;

/** tagTexts — the words of texts with their tags; and how many texts were cut. */
export async function tagTexts({ model, params, specials: { padId }, classes = [] }: Tagger, encoder: Encoder, texts: readonly string[], { batchSize }: { batchSize: number }): Promise<{ predictions: Prediction[]; cut: number; notes: string[] }> {
  const split = texts.map((text) => text.match(WORD) ?? []);
  const sentences = split.map((words) => encodeWords(words, encoder));
  const { predicted } = await classifyWords({ model, params, padId }, sentences, batchSize);
  let next = 0;
  const predictions = sentences.map(({ firsts }, i): Prediction => {
    const words = firsts.flatMap((first, w): [string, string][] => (first < 0 ? [] : [[split[i]?.[w] as string, classes[predicted[next++] as number] ?? '']]));
    return { input: texts[i] as string, label: words.map(([word, tag]) => `${word}/${tag}`).join(' '), words };
  });
  return { predictions, cut: sentences.filter(({ firsts }, i) => firsts.length < (split[i] as string[]).length).length, notes: unknownNotes(sentences, encoder) };
}

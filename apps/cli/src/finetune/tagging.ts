import { dispose, tensor2d, type Tensor } from '@tensorflow/tfjs-core';
import { bertInputs, padBatch, type TokenSequence } from '@evenkeel/models-bert';
import type { Encoder } from '../bert/encoding.ts';
import { classified, type Classified } from '../classified.ts';
import type { TextModel } from './textClasses.ts';

/** Tagged — the tokens of a sentence; `firsts`: at which of them each word begins, as many as words that were not cut. */
export type Tagged = TokenSequence & { readonly firsts: readonly number[] };

/** encodeWords — a sentence that is cut into words already, as a sequence; words that do not fit are cut at the end. */
export function encodeWords(words: readonly string[], { tokenizer, specials: { clsId, sepId }, maxLength, hasSegments }: Encoder): Tagged {
  const ids = [clsId];
  const firsts: number[] = [];
  for (const [i, word] of words.entries()) {
    const tokens = tokenizer.encode(hasSegments || i === 0 ? word : ` ${word}`); // byte-level tokenizers keep the space before a word
    if (tokens.length === 0) {
      firsts.push(-1);
      continue;
    }
    if (ids.length + tokens.length + 1 > maxLength) break;
    firsts.push(ids.length);
    ids.push(...tokens);
  }
  return { ids: Int32Array.from([...ids, sepId]), firsts };
}

/** tagsOf — the tag of each word by what `classifyWords` said of sentences with so many words; words that were cut, or are no tokens, are tagged O. */
export function tagsOf(sentences: readonly Tagged[], counts: readonly number[], predicted: ArrayLike<number>, classes: readonly string[]): string[][] {
  let next = 0;
  return sentences.map(({ firsts }, i) => Array.from({ length: counts[i] as number }, (_, w) => ((firsts[w] ?? -1) < 0 ? 'O' : classes[predicted[next++] as number] as string)));
}

/** classifyWords — the classes that a model says of the words of sentences, one after another. */
export async function classifyWords({ model, params, padId }: TextModel, sentences: readonly Tagged[], batchSize: number): Promise<Classified> {
  async function* logits(): AsyncGenerator<Tensor> {
    for (let start = 0; start < sentences.length; start += batchSize) {
      const chosen = sentences.slice(start, start + batchSize);
      const inputs = bertInputs(padBatch(chosen, { padId }));
      const all = model.apply(inputs, params) as Tensor; // b t k
      const [length, numClasses] = all.shape.slice(1) as [number, number];
      const values = await all.data();
      dispose([all, inputs] as never);
      const rows = chosen.flatMap(({ firsts }, b) => firsts.filter((first) => first >= 0).map((first) => values.subarray((b * length + first) * numClasses, (b * length + first + 1) * numClasses)));
      yield tensor2d(Float32Array.from(rows.flatMap((row) => [...row])), [rows.length, numClasses]);
    }
  }
  return classified(logits());
}

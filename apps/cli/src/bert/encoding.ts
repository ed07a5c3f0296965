import type { LabelledText, Tokenizer } from '@evenkeel/data';
import { joinPair, type SpecialTokens, type TokenSequence } from '@evenkeel/models-bert';

/** LONGEST — tokens of the longest sequence of a model without positions of its own. */
export const LONGEST = 512;

/** Encoder — how texts become sequences of a model. */
export type Encoder = {
  readonly tokenizer: Tokenizer;
  readonly specials: SpecialTokens;
  /** Longest sequence. */
  readonly maxLength: number;
  /** Whether the model tells segments apart; RoBERTa does not, and has two separators between a pair. */
  readonly hasSegments: boolean;
};

/** Encoded — sequences, and the lines of those that were too long and lost their ends. */
export type Encoded = { readonly sequences: readonly TokenSequence[]; readonly cut: readonly number[] };

/** encodeTexts — texts, or pairs of them, as sequences with special tokens; what is too long is cut at its end. */
export function encodeTexts(texts: readonly Pick<LabelledText, 'text' | 'pair' | 'line'>[], { tokenizer, specials, maxLength, hasSegments }: Encoder): Encoded {
  const cut: number[] = [];
  const sequences = texts.map(({ text, pair, line }) => {
    const [a, second] = [tokenizer.encode(text), pair === undefined ? undefined : tokenizer.encode(pair)];
    const b = second === undefined || hasSegments ? second : Int32Array.of(specials.sepId, ...second);
    if (a.length + (b === undefined ? 2 : b.length + 3) > maxLength) cut.push(line);
    const { ids, tokenTypes } = joinPair(a, b, { ...specials, maxLength });
    return hasSegments ? { ids, tokenTypes } : { ids };
  });
  return { sequences, cut };
}

/** Share of unknown tokens from which on it is said. */
const MANY_UNKNOWN = 0.05;

/** unknownNotes — says how many tokens of some sequences the vocabulary does not know, if they are many. */
export function unknownNotes(sequences: readonly { readonly ids: ArrayLike<number> }[], { tokenizer: { tokenToId }, specials: { clsId, sepId, padId } }: Pick<Encoder, 'tokenizer' | 'specials'>): string[] {
  const name = ['[UNK]', '<unk>'].find((each) => tokenToId(each) !== undefined) ?? '';
  const unknownId = tokenToId(name);
  let [unknown, all] = [0, 0];
  for (const { ids } of sequences) {
    for (let i = 0; i < ids.length; i++) {
      if (ids[i] === unknownId) unknown++;
      if (ids[i] !== clsId && ids[i] !== sepId && ids[i] !== padId) all++;
    }
  }
  return unknown > MANY_UNKNOWN * all ? [`${((100 * unknown) / all).toFixed(1)} % of the tokens are ${name}: the model's vocabulary has no others for these characters`] : [];
}

import { ConfigError } from '@evenkeel/core-tensor';
import { idBuffer } from './idBuffer.ts';
import { checkWellFormed, missingCharacter, piecesIn } from './textErrors.ts';
import { PLAIN_CONFIG, type EncodeOptions, type Tokenizer, type TokenizerJson } from './tokenizer.ts';

/**
 * charTokenizer — one token per Unicode character that occurs in a text, in the order of the code points.
 *
 * @param text  a corpus, whole or in pieces (`textPieces`).
 * @returns     a tokenizer whose `json` the Hugging Face libraries read: a BPE model without merges behind a pre-tokenizer that
 *              splits everywhere.
 * @throws ConfigError  if the text is empty or not well-formed.
 */
export function charTokenizer(text: string | Iterable<string>): Tokenizer {
  const codes = new Set<number>();
  for (const piece of piecesIn(text)) {
    checkWellFormed('charTokenizer', piece);
    for (let i = 0; i < piece.length; i++) {
      const code = piece.codePointAt(i) as number;
      codes.add(code);
      if (code > 0xffff) i++;
    }
  }
  if (codes.size === 0) throw new ConfigError('charTokenizer: text must hold characters, got an empty text');
  const ordered = [...codes].sort((a, b) => a - b);
  return charTokenizerFromJson(charTokenizerJson(ordered.map((code, id) => [String.fromCodePoint(code), id])));
}

const SPLIT_EVERYWHERE = { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false } as const;

function charTokenizerJson(vocab: [char: string, id: number][]): TokenizerJson {
  return {
    version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null,
    pre_tokenizer: SPLIT_EVERYWHERE, post_processor: null, decoder: { type: 'Fuse' },
    model: {
      type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null,
      fuse_unk: false, byte_fallback: false, ignore_merges: false, vocab: Object.fromEntries(vocab), merges: [],
    },
  };
}

/** isCharTokenizer — whether a checked `tokenizer.json` means one token per character and nothing else. */
export function isCharTokenizer({ normalizer, pre_tokenizer, post_processor, decoder, added_tokens, model }: TokenizerJson): boolean {
  const plainModel = model.type === 'BPE' && model.merges?.length === 0 && !Array.isArray(model.vocab)
    && !model.unk_token && !model['byte_fallback'] && !model['end_of_word_suffix'];
  return plainModel && added_tokens.length === 0 && normalizer === null && post_processor === null && decoder?.type === 'Fuse'
    && pre_tokenizer?.type === 'Split' && JSON.stringify(pre_tokenizer['pattern']) === JSON.stringify(SPLIT_EVERYWHERE.pattern)
    && pre_tokenizer['behavior'] === 'Isolated' && !pre_tokenizer['invert']
    && Object.keys(model.vocab).every((token) => token.length === (((token.codePointAt(0) ?? 0) > 0xffff) ? 2 : 1));
}

/** charTokenizerFromJson — the tokenizer of a `tokenizer.json` for which `isCharTokenizer` holds. */
export function charTokenizerFromJson(json: TokenizerJson): Tokenizer {
  const vocab = Object.entries(json.model.vocab as Record<string, number>);
  const chars = new Map(vocab.map(([char, id]) => [id, char]));
  const ids = new Map(vocab.map(([char, id]) => [char.codePointAt(0) as number, id]));
  const ascii = Int32Array.from({ length: 128 }, (_, code) => ids.get(code) ?? -1);
  const encode = (text: string, { origin }: EncodeOptions = {}): Int32Array => {
    const out = idBuffer(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.codePointAt(i) as number;
      const id = code < 128 ? (ascii[code] as number) : (ids.get(code) ?? -1);
      if (id < 0) throw missingCharacter('encode', text, i, origin);
      out.push(id);
      if (code > 0xffff) i++;
    }
    return out.finish();
  };
  const decode = (tokens: ArrayLike<number>): string => Array.from(tokens, (id) => {
    const char = chars.get(id);
    if (char === undefined) throw new ConfigError(`decode: ids must be tokens of the tokenizer, got ${id}`);
    return char;
  }).join('');
  return {
    kind: 'char', vocabSize: vocab.reduce((most, [, id]) => Math.max(most, id + 1), 0), encode, decode, piecewise: true, json, config: PLAIN_CONFIG,
    tokenToId: (token) => ids.get([...token].length === 1 ? (token.codePointAt(0) as number) : -1),
  };
}

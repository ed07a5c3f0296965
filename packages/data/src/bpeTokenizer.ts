import { ConfigError } from '@evenkeel/core-tensor';
import { mergeWord, pairKey, type MergeTable } from './bpeEncoder.ts';
import { BYTE_CHARS, bytesOfToken } from './byteAlphabet.ts';
import { idBuffer } from './idBuffer.ts';
import { addedTokenSplitter, forEachWord } from './preTokens.ts';
import { checkWellFormed } from './textErrors.ts';
import { PLAIN_CONFIG, type AddedToken, type Tokenizer, type TokenizerJson } from './tokenizer.ts';

const MAX_CACHED_WORDS = 1 << 18;
const MAX_CACHED_LENGTH = 64;

/**
 * bpeTokenizerJson — the `tokenizer.json` of a byte-level BPE, in the form GPT-2's has.
 *
 * @param tokens  the vocabulary in the order of the ids, in the byte alphabet.
 * @param merges  pairs `left right` in the order of their ranks.
 * @param added   tokens cut out of the text before anything else.
 */
export function bpeTokenizerJson(
  vocab: Readonly<Record<string, number>>,
  merges: readonly (string | readonly [string, string])[],
  added: readonly AddedToken[],
): TokenizerJson {
  return {
    version: '1.0', truncation: null, padding: null, added_tokens: added, normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '',
      fuse_unk: false, byte_fallback: false, ignore_merges: false, vocab, merges,
    },
  };
}

/** isBpeTokenizer — whether a checked `tokenizer.json` is a byte-level BPE as GPT-2's, so that our encoder applies. */
export function isBpeTokenizer({ normalizer, pre_tokenizer, post_processor, decoder, added_tokens, model }: TokenizerJson): boolean {
  const vocab = model.vocab as Record<string, number>;
  const plainModel = model.type === 'BPE' && !model['dropout'] && !model['byte_fallback'] && !model['ignore_merges'] && !model['fuse_unk']
    && !model['end_of_word_suffix'] && !model['continuing_subword_prefix'] && !model['continuing_subword_suffix'];
  const gpt2Words = pre_tokenizer?.type === 'ByteLevel' && !pre_tokenizer['add_prefix_space'] && (pre_tokenizer['use_regex'] ?? true) === true;
  const plainStages = normalizer === null && decoder?.type === 'ByteLevel' && (post_processor === null || post_processor.type === 'ByteLevel');
  if (!plainModel || !gpt2Words || !plainStages) return false;
  const contents = new Set(added_tokens.map(({ content }) => content));
  return BYTE_CHARS.every((char) => Object.hasOwn(vocab, char))
    && Object.keys(vocab).every((token) => contents.has(token) || bytesOfToken(token) !== undefined)
    && added_tokens.every(({ content, id, lstrip, rstrip, single_word }) =>
      !lstrip && !rstrip && !single_word && (!Object.hasOwn(vocab, content) || vocab[content] === id));
}

/** bpeTokenizerFromJson — the tokenizer of a `tokenizer.json` for which `isBpeTokenizer` holds. */
export function bpeTokenizerFromJson(json: TokenizerJson): Tokenizer {
  const vocab = new Map(Object.entries(json.model.vocab as Record<string, number>));
  const split = addedTokenSplitter(json.added_tokens);
  const encodeWord = cachedWordEncoder(vocab, mergeTable(vocab, json.model.merges ?? []));
  const encode = (text: string): Int32Array => {
    checkWellFormed('encode', text);
    const out = idBuffer(text.length / 3);
    for (const section of split(text)) {
      if (section.id !== undefined) out.push(section.id);
      else forEachWord(section.text, (word) => out.append(encodeWord(word)));
    }
    return out.finish();
  };
  const addedIds = new Map(json.added_tokens.map(({ content, id }) => [content, id]));
  const ids = new Map([...vocab, ...addedIds]);
  return {
    kind: 'bpe', vocabSize: [...ids.values()].reduce((most, id) => Math.max(most, id), 0) + 1, encode, decode: bpeDecoder(vocab, json.added_tokens),
    tokenToId: (token) => ids.get(token), piecewise: json.added_tokens.every(({ content }) => !/\s/.test(content)), json, config: PLAIN_CONFIG,
  };
}

function mergeTable(vocab: ReadonlyMap<string, number>, merges: readonly (string | readonly [string, string])[]): MergeTable {
  const idOf = (token: string): number => vocab.get(token) as number;
  return new Map(merges.map((merge, rank) => {
    const [left, right] = (typeof merge === 'string' ? merge.split(' ') : merge) as [string, string];
    return [pairKey(idOf(left), idOf(right)), { rank, id: idOf(left + right) }];
  }));
}

/** Words repeat: most are looked up. */
function cachedWordEncoder(vocab: ReadonlyMap<string, number>, merges: MergeTable): (word: string) => Int32Array {
  const byteIds = Int32Array.from(BYTE_CHARS, (char) => vocab.get(char) as number);
  const encoder = new TextEncoder();
  const cache = new Map<string, Int32Array>();
  return (word) => {
    const known = cache.get(word);
    if (known !== undefined) return known;
    const ids = mergeWord(Int32Array.from(encoder.encode(word), (byte) => byteIds[byte] as number), merges);
    if (word.length > MAX_CACHED_LENGTH) return ids;
    if (cache.size >= MAX_CACHED_WORDS) cache.clear();
    const copy = ids.slice();
    cache.set(word, copy);
    return copy;
  };
}

/** Joins the bytes of the tokens between two added tokens and decodes them together, since a character may span tokens. */
function bpeDecoder(vocab: ReadonlyMap<string, number>, added: readonly AddedToken[]): (ids: ArrayLike<number>) => string {
  const contents = new Map(added.map(({ id, content }) => [id, content]));
  const bytes = new Map([...vocab].map(([token, id]) => [id, bytesOfToken(token) ?? new Uint8Array(0)]));
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return (ids) => {
    const parts: string[] = [];
    let pending: Uint8Array[] = [];
    const flush = (): void => {
      if (pending.length > 0) parts.push(decoder.decode(concatenate(pending)));
      pending = [];
    };
    for (const id of Array.from(ids)) {
      const content = contents.get(id);
      const token = bytes.get(id);
      if (content === undefined && token === undefined) throw new ConfigError(`decode: ids must be tokens of the tokenizer, got ${id}`);
      if (content === undefined) pending.push(token as Uint8Array);
      else {
        flush();
        parts.push(content);
      }
    }
    flush();
    return parts.join('');
  };
}

function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((total, piece) => total + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

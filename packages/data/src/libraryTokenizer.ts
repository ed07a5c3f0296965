import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { ConfigError } from '@evenkeel/core-tensor';
import { checkWellFormed, missingCharacter, quoteText } from './textErrors.ts';
import type { Tokenizer, TokenizerJson } from './tokenizer.ts';

/**
 * libraryTokenizer — any checked `tokenizer.json` through `@huggingface/tokenizers`, which says nothing when a character has no
 * token: here that is an error.
 *
 * @param where   how an error of construction begins.
 * @param config  the `tokenizer_config.json` beside it.
 * @throws ConfigError  if the library refuses it.
 */
export function libraryTokenizer(where: string, json: TokenizerJson, config: Readonly<Record<string, unknown>>): Tokenizer {
  const unknown = json.model.unk_token ?? undefined;
  const exact = { ...config, ...(unknown === undefined ? {} : { unk_token: unknown }), clean_up_tokenization_spaces: false };
  const library = guarded(`${where} must be usable`, () => new LibraryTokenizer(json, exact));
  if (unknown === undefined && json.model.type === 'BPE') forbidLosses(library, json);
  const known = idsOf(json);
  return {
    kind: 'other', vocabSize: largest(known) + 1, piecewise: false, json, config: exact,
    tokenToId: (token) => library.token_to_id(token),
    encode: (text, { addSpecialTokens = false } = {}) => {
      checkWellFormed('encode', text);
      const encoding = guarded('encode: text must be usable', () => library.encode(text, { add_special_tokens: addSpecialTokens }), text);
      const missing = encoding.ids.findIndex((id: unknown) => !Number.isSafeInteger(id));
      if (missing >= 0) throw new ConfigError(`encode: text must hold only tokens of the tokenizer, got ${quoteText(String(encoding.tokens[missing]))}`);
      return Int32Array.from(encoding.ids);
    },
    decode: (ids) => {
      const stray = Array.from(ids).find((id) => !known.has(id));
      if (stray !== undefined) throw new ConfigError(`decode: ids must be tokens of the tokenizer, got ${stray}`);
      return ids.length === 0 ? '' : guarded('decode: ids must be usable', () => library.decode(Array.from(ids)));
    },
  };
}

class LostCharacter extends Error {}

/** Runs the library; whatever it throws becomes one line of ours. */
function guarded<T>(expectation: string, work: () => T, text = ''): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if (error instanceof LostCharacter) throw missingCharacter('encode', text, Math.max(0, text.indexOf(error.message)));
    const problem = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`${expectation}, got: ${problem.replace(/\s+/g, ' ').slice(0, 200)}`, { cause: error });
  }
}

function idsOf({ model: { vocab }, added_tokens }: TokenizerJson): Set<number> {
  const own = Array.isArray(vocab) ? vocab.keys() : Object.values(vocab as Record<string, number>);
  return new Set([...own, ...added_tokens.map(({ id }) => id)]);
}

const largest = (ids: ReadonlySet<number>): number => [...ids].reduce((most, id) => Math.max(most, id), 0);

/** A BPE without unknown token drops what it has no token for. Its tokens joined must be the text again. */
function forbidLosses({ model }: LibraryTokenizer, { model: { byte_fallback: fallback, end_of_word_suffix: suffix } }: TokenizerJson): void {
  if (model === null || fallback === true) return;
  const end = typeof suffix === 'string' ? suffix : '';
  const encode = model.encode.bind(model);
  model.encode = (pieces) => {
    for (const piece of pieces) {
      const kept = encode([piece]).join('');
      if (kept === piece || kept === piece + end) continue;
      const chars = [...piece];
      const lost = chars.find((char, i) => !model.tokens_to_ids.has(i === chars.length - 1 ? char + end : char));
      throw new LostCharacter(lost ?? piece);
    }
    return encode(pieces);
  };
}

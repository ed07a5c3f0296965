import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { checkStage } from './checkStage.ts';
import { quoteText } from './textErrors.ts';
import type { AddedToken, TokenizerJson, TokenizerModel } from './tokenizer.ts';

const MAX_ID = 2 ** 24 - 1;
/** What a BPE with `byte_fallback` falls back to. */
const BYTE_TOKENS = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const MODELS = ['BPE', 'WordPiece', 'WordLevel', 'Unigram'];

/** isRecord — a plain object, neither null nor an array. */
export const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * checkTokenizerJson — that a parsed `tokenizer.json` is one that can be used: known stages with sound settings, ids that are
 * distinct integers below 2^24, merges made of tokens.
 *
 * The library trusts its input: it would loop for ever, leave characters out, or fill a table of 2^32 entries.
 *
 * @param where  how an error begins.
 * @returns      the same, absent stages as null.
 * @throws ConfigError       naming the part that is wrong.
 * @throws UnsupportedError  for a model or stage the library does not know.
 */
export function checkTokenizerJson(where: string, value: unknown): TokenizerJson {
  if (!isRecord(value) || !isRecord(value['model'])) throw new ConfigError(`${where} must be a tokenizer.json with a model, got ${describeValue(value)}`);
  const added = checkAddedTokens(where, value['added_tokens'] ?? []);
  const model = checkModel(where, value['model'], added);
  return {
    ...value,
    added_tokens: added,
    normalizer: checkStage(where, 'normalizer', value['normalizer'] ?? null),
    pre_tokenizer: checkStage(where, 'pre_tokenizer', value['pre_tokenizer'] ?? null),
    post_processor: checkStage(where, 'post_processor', value['post_processor'] ?? null),
    decoder: checkStage(where, 'decoder', value['decoder'] ?? null),
    model,
  };
}

/** describeValue — what a JSON value is, for an error message. */
export function describeValue(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  return isRecord(value) ? 'an object' : quoteText(String(value));
}

const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_ID;

function checkAddedTokens(where: string, value: unknown): AddedToken[] {
  if (!Array.isArray(value)) throw new ConfigError(`${where}: added_tokens must be an array, got ${describeValue(value)}`);
  const contents = new Set<string>();
  for (const token of value as unknown[]) {
    const content = isRecord(token) ? token['content'] : undefined;
    if (!isRecord(token) || typeof content !== 'string' || content === '' || !isId(token['id']) || contents.has(content)) {
      throw new ConfigError(`${where}: added_tokens must have distinct contents and ids below 2^24, got ${quoteText(JSON.stringify(token) ?? 'nothing')}`);
    }
    for (const flag of ['single_word', 'lstrip', 'rstrip', 'normalized', 'special']) {
      if (typeof (token[flag] ?? false) !== 'boolean') throw new ConfigError(`${where}: ${flag} of ${quoteText(content)} must be true or false, got ${describeValue(token[flag])}`);
    }
    contents.add(content);
  }
  return value as AddedToken[];
}

function checkModel(where: string, model: Record<string, unknown>, added: readonly AddedToken[]): TokenizerModel {
  const type = model['type'] ?? impliedType(model);
  if (typeof type !== 'string' || !MODELS.includes(type)) {
    throw new UnsupportedError(`${where}: model must be one of ${MODELS.join(', ')}, got ${describeValue(type)}`);
  }
  if (type === 'Unigram') checkUnigram(where, model);
  else checkVocab(where, model['vocab'], added);
  const unknown = model['unk_token'] ?? null;
  if (unknown !== null && typeof unknown !== 'string') throw new ConfigError(`${where}: unk_token must be a token, got ${describeValue(unknown)}`);
  const known = (token: string): boolean => Object.hasOwn(model['vocab'] as object, token) || added.some(({ content }) => content === token);
  if (unknown !== null && type !== 'Unigram' && !known(unknown)) throw new ConfigError(`${where}: unk_token must be in the vocabulary, got ${quoteText(unknown)}`);
  if (type === 'BPE') checkBpe(where, model);
  if (type === 'WordPiece') checkWordPiece(where, model);
  return { ...model, type } as TokenizerModel;
}

/** Older files leave the type out. */
function impliedType(model: Record<string, unknown>): string {
  if ('merges' in model) return 'BPE';
  if (Array.isArray(model['vocab'])) return 'Unigram';
  return 'continuing_subword_prefix' in model ? 'WordPiece' : 'WordLevel';
}

function checkVocab(where: string, vocab: unknown, added: readonly AddedToken[]): void {
  if (!isRecord(vocab)) throw new ConfigError(`${where}: vocab must be an object of tokens, got ${describeValue(vocab)}`);
  const seen = new Set<unknown>();
  for (const [token, id] of Object.entries(vocab)) {
    if (!isId(id) || seen.has(id)) throw new ConfigError(`${where}: vocab must give each token an id of its own below 2^24, got ${describeValue(id)} for ${quoteText(token)}`);
    seen.add(id);
  }
  const clash = added.find(({ content, id }) => seen.has(id) && vocab[content] !== id);
  if (clash !== undefined) throw new ConfigError(`${where}: added_tokens must not take ids of the vocabulary, got ${clash.id} for ${quoteText(clash.content)}`);
  if (seen.size === 0) throw new ConfigError(`${where}: vocab must hold tokens, got none`);
}

function checkUnigram(where: string, { vocab, unk_id: unknown = null }: Record<string, unknown>): void {
  const isPiece = (piece: unknown): boolean => Array.isArray(piece) && typeof piece[0] === 'string' && Number.isFinite(piece[1]);
  if (!Array.isArray(vocab) || vocab.length === 0 || !vocab.every(isPiece)) throw new ConfigError(`${where}: vocab must be a list of [token, score], got ${describeValue(vocab)}`);
  if (unknown !== null && !(isId(unknown) && unknown < vocab.length)) throw new ConfigError(`${where}: unk_id must be an index of the vocabulary, got ${describeValue(unknown)}`);
}

function checkBpe(where: string, model: Record<string, unknown>): void {
  const { merges, vocab } = model;
  for (const key of ['continuing_subword_prefix', 'continuing_subword_suffix']) {
    if ((model[key] ?? '') !== '') throw new UnsupportedError(`${where}: ${key} of a BPE must be empty, got ${describeValue(model[key])}`);
  }
  const suffix = model['end_of_word_suffix'] ?? '';
  if (typeof suffix !== 'string') throw new ConfigError(`${where}: end_of_word_suffix must be text, got ${describeValue(suffix)}`);
  if (model['byte_fallback'] === true && (model['unk_token'] ?? null) === null && !BYTE_TOKENS.every((token) => Object.hasOwn(vocab as object, token))) {
    throw new ConfigError(`${where}: vocab must hold <0x00> to <0xFF> for byte_fallback, got a vocab without`);
  }
  if (!Array.isArray(merges)) throw new ConfigError(`${where}: merges must be a list, got ${describeValue(merges)}`);
  const form = typeof merges[0];
  for (const merge of merges as unknown[]) {
    const [left, right, ...rest] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? (merge as unknown[]) : [];
    const sound = typeof left === 'string' && typeof right === 'string' && rest.length === 0 && typeof merge === form;
    if (!sound || ![left, right, left + right].every((token) => Object.hasOwn(vocab as object, token as string))) {
      throw new ConfigError(`${where}: merges must be pairs of tokens that make a token, got ${quoteText(JSON.stringify(merge) ?? 'nothing')}`);
    }
  }
}

function checkWordPiece(where: string, { unk_token: unknown, continuing_subword_prefix: prefix = '##', max_input_chars_per_word: most = 100 }: Record<string, unknown>): void {
  if (typeof unknown !== 'string') throw new ConfigError(`${where}: unk_token of a WordPiece must be a token, got ${describeValue(unknown)}`);
  if (typeof prefix !== 'string') throw new ConfigError(`${where}: continuing_subword_prefix must be text, got ${describeValue(prefix)}`);
  if (!isId(most) || most > 10_000) throw new ConfigError(`${where}: max_input_chars_per_word must be an integer up to 10000, got ${describeValue(most)}`);
}

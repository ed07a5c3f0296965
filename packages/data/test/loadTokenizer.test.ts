import { execFileSync } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { charTokenizer, loadTokenizer, tokenizerFromJson, trainBpe, type TokenizerJson } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { golden } from './golden.ts';
import { directoryWith, isOurs, rejection } from './helpers.ts';

const bpe = trainBpe(golden.text, { vocabSize: 300, specialTokens: ['<|endoftext|>'] });
const copy = (json: unknown): TokenizerJson => JSON.parse(JSON.stringify(json)) as TokenizerJson;
const model = (fields: object): object => ({ model: fields });
const chars = (text: string): Record<string, number> => Object.fromEntries([...text].map((char, id) => [char, id]));

describe('loadTokenizer', () => {
  it('loadTokenizer reads a file, a directory and parsed JSON', async () => {
    const directory = directoryWith({ 'tokenizer.json': JSON.stringify(bpe.json), 'tokenizer_config.json': '{"model_max_length":64}' });
    for (const source of [directory, join(directory, 'tokenizer.json'), copy(bpe.json)]) {
      const tokenizer = await loadTokenizer(source);
      expect(tokenizer.kind).toBe('bpe');
      expect(tokenizer.encode(golden.text)).toEqual(bpe.encode(golden.text));
      expect(tokenizer.tokenToId('<|endoftext|>')).toBe(bpe.vocabSize - 1);
    }
  });

  it("loadTokenizer reads GPT-2's vocab.json and merges.txt", async () => {
    const { vocab, merges } = bpe.json.model;
    const directory = directoryWith({ 'vocab.json': JSON.stringify(vocab), 'merges.txt': `#version: 0.2\n${merges?.join('\n')}\n` });
    const tokenizer = await loadTokenizer(directory);
    const text = `${golden.text}<|endoftext|>\n`;
    expect([tokenizer.kind, tokenizer.vocabSize]).toEqual(['bpe', bpe.vocabSize]);
    expect(tokenizer.encode(text)).toEqual(bpe.encode(text));
  });

  it('loadTokenizer of a device or a named pipe throws instead of waiting for its end', async () => {
    const directory = directoryWith();
    execFileSync('mkfifo', [join(directory, 'pipe')]);
    for (const source of ['/dev/zero', join(directory, 'pipe')]) {
      await expect(loadTokenizer(source)).rejects.toThrow(`loadTokenizer: ${source} must be a file, got a device or pipe`);
    }
    symlinkSync('/dev/zero', join(directory, 'tokenizer.json'));
    await expect(loadTokenizer(directory)).rejects.toThrow('tokenizer.json must be a file, got a device or pipe');
  });

  it('loadTokenizer of a bad path or file throws one line that names the path', async () => {
    const directory = directoryWith({ 'cut.json': '{"model":\n{', 'deep.json': '['.repeat(100_000), 'list.json': '[]', 'empty.json': '', 'zero.json': '\0\0' });
    const cases: [file: string, message: string][] = [
      ['none.json', 'must be a tokenizer.json or a directory, got no such file or directory (ENOENT)'],
      ['.', 'tokenizer.json must be a readable file, got no such file or directory (ENOENT)'],
      ['cut.json', 'must be JSON, got '], ['empty.json', 'must be JSON, got '], ['zero.json', 'must be JSON, got '],
      ['deep.json', 'must be nested at most 32 deep, got more'], ['list.json', 'must be a tokenizer.json with a model, got an array'],
    ];
    for (const [file, message] of cases) {
      const error = await rejection(loadTokenizer(join(directory, file)));
      expect(error).toBeInstanceOf(ConfigError);
      expect(error.message).toContain(message);
      expect(error.message).toMatch(new RegExp(`^loadTokenizer: ${directory}[^\n]+$`));
    }
    writeFileSync(join(directory, 'tokenizer.json'), JSON.stringify(bpe.json));
    writeFileSync(join(directory, 'tokenizer_config.json'), '3');
    await expect(loadTokenizer(directory)).rejects.toThrow('tokenizer_config.json must be a JSON object, got "3"');
  });
});

describe('tokenizerFromJson of other kinds', () => {
  it('tokenizerFromJson(WordPiece) gives the ids of Hugging Face, accents, CJK and long words included', () => {
    const tokenizer = tokenizerFromJson(golden.wordPiece.json);
    expect(tokenizer.kind).toBe('other');
    expect(golden.wordPiece.samples.map((sample) => [...tokenizer.encode(sample)])).toEqual(golden.wordPiece.ids);
    expect(tokenizer.decode(tokenizer.encode('unaffable hello'))).toBe('unaffable hello');
    expect(tokenizer.decode([])).toBe('');
    expect(() => tokenizer.decode([99])).toThrow('decode: ids must be tokens of the tokenizer, got 99');
  });

  it('encode({ addSpecialTokens: true }) adds what the post-processor adds', () => {
    const json = { ...golden.wordPiece.json, post_processor: { type: 'BertProcessing', sep: ['[SEP]', 2], cls: ['[CLS]', 1] } };
    const tokenizer = tokenizerFromJson(json);
    expect([...tokenizer.encode('hello', { addSpecialTokens: true })]).toEqual([1, 13, 2]);
    expect([...tokenizer.encode('hello')]).toEqual([13]);
  });

  it('a BPE without unknown token throws for a character it lacks where the library would drop it', () => {
    const tokenizer = tokenizerFromJson(model({ type: 'BPE', vocab: { ...chars('abc'), ab: 3 }, merges: ['a b'] }));
    expect([...tokenizer.encode('abcab')]).toEqual([3, 2, 3]);
    expect(() => tokenizer.encode('abxc')).toThrow('encode: text must hold only characters of the tokenizer, got "x" (U+0078) at position 2, line 1');
    const suffixed = tokenizerFromJson(model({ type: 'BPE', end_of_word_suffix: '</w>', vocab: { a: 0, 'b</w>': 1, 'ab</w>': 2 }, merges: [['a', 'b</w>']] }));
    expect([...suffixed.encode('ab')]).toEqual([2]);
    expect(() => suffixed.encode('ba')).toThrow('got "b" (U+0062)');
  });

  it('a BPE with unknown token uses it, and one with byte fallback its bytes', () => {
    const unknown = tokenizerFromJson(model({ type: 'BPE', unk_token: '?', vocab: chars('?ab'), merges: [] }));
    expect([...unknown.encode('axb')]).toEqual([1, 0, 2]);
    const bytes = Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, byte + 3]));
    const fallback = tokenizerFromJson({ ...model({ type: 'BPE', byte_fallback: true, vocab: { ...chars('abc'), ...bytes }, merges: [] }), decoder: { type: 'ByteFallback' } });
    expect([...fallback.encode('aé')]).toEqual([0, 0xc3 + 3, 0xa9 + 3]);
    expect(fallback.decode(fallback.encode('aé日'))).toBe('aé日');
  });

  it('a WordLevel or Unigram without unknown token throws for a word it lacks', () => {
    const words = tokenizerFromJson({ ...model({ type: 'WordLevel', vocab: { the: 0, king: 1 } }), pre_tokenizer: { type: 'WhitespaceSplit' } });
    expect([...words.encode('the king')]).toEqual([0, 1]);
    expect(() => words.encode('the queen')).toThrow('encode: text must hold only tokens of the tokenizer, got "queen"');
    const withUnknown = tokenizerFromJson({ ...model({ type: 'WordLevel', unk_token: '?', vocab: { '?': 0, the: 1 } }), pre_tokenizer: { type: 'WhitespaceSplit' } });
    expect([...withUnknown.encode('the queen')]).toEqual([1, 0]);
    const unigram = tokenizerFromJson(model({ type: 'Unigram', vocab: [['a', -1], ['ab', -1.5], ['b', -1]] }));
    expect([...unigram.encode('aba')]).toEqual([1, 0]);
    expect(() => unigram.encode('abx')).toThrow(ConfigError);
  });

  it('a byte-level BPE with other words, a prefix space or stripping tokens goes to the library and round-trips', () => {
    const split = { type: 'Sequence', pretokenizers: [{ type: 'Split', pattern: { Regex: '\\d{1,3}|\\s?\\p{L}+|.' }, behavior: 'Isolated', invert: false }, { type: 'ByteLevel', use_regex: false }] };
    const variants: object[] = [
      { pre_tokenizer: split },
      { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true } },
      { added_tokens: [{ ...bpe.json.added_tokens[0], lstrip: true }] },
      { normalizer: { type: 'NFC' } },
    ];
    for (const variant of variants) {
      const tokenizer = tokenizerFromJson({ ...copy(bpe.json), ...variant });
      expect(tokenizer.kind).toBe('other');
      expect(tokenizer.decode(tokenizer.encode("it's 12345 日本 . !")).trim()).toBe("it's 12345 日本 . !");
    }
  });
});

const stage = (name: string, value: unknown): object => ({ ...copy(bpe.json), [name]: value });
const wrong: [what: string, json: unknown, message: string][] = [
  ['null', null, 'must be a tokenizer.json with a model, got "null"'],
  ['no model', {}, 'with a model, got an object'],
  ['an unknown model', model({ type: 'Magic', vocab: {} }), 'model must be one of BPE, WordPiece, WordLevel, Unigram, got "Magic"'],
  ['no vocabulary', model({ type: 'BPE', merges: [] }), 'vocab must be an object of tokens, got "undefined"'],
  ['an empty vocabulary', model({ type: 'BPE', vocab: {}, merges: [] }), 'vocab must hold tokens, got none'],
  ['an id twice', model({ type: 'BPE', vocab: { a: 0, b: 0 }, merges: [] }), 'an id of its own below 2^24, got "0" for "b"'],
  ['a negative id', model({ type: 'BPE', vocab: { a: -1 }, merges: [] }), 'got "-1" for "a"'],
  ['a huge id', model({ type: 'BPE', vocab: { a: 4294967294 }, merges: [] }), 'got "4294967294" for "a"'],
  ['an id that is no number', model({ type: 'BPE', vocab: { a: '0' }, merges: [] }), 'got "0" for "a"'],
  ['no merges', model({ type: 'BPE', vocab: { a: 0 } }), 'merges must be a list, got "undefined"'],
  ['a merge of unknown tokens', model({ type: 'BPE', vocab: { a: 0 }, merges: ['a b'] }), 'merges must be pairs of tokens that make a token, got "\\"a b\\""'],
  ['a merge that makes no token', model({ type: 'BPE', vocab: { a: 0, b: 1 }, merges: ['a b'] }), 'that make a token'],
  ['merges of both forms', model({ type: 'BPE', vocab: { a: 0, b: 1, ab: 2, ba: 3 }, merges: ['a b', ['b', 'a']] }), 'that make a token'],
  ['an unknown token outside', model({ type: 'BPE', unk_token: '?', vocab: { a: 0 }, merges: [] }), 'unk_token must be in the vocabulary, got "?"'],
  ['a prefix', model({ type: 'BPE', continuing_subword_prefix: '##', vocab: { a: 0 }, merges: [] }), 'continuing_subword_prefix of a BPE must be empty, got "##"'],
  ['byte fallback without bytes', model({ type: 'BPE', byte_fallback: true, vocab: { a: 0 }, merges: [] }), 'vocab must hold <0x00> to <0xFF> for byte_fallback'],
  ['a WordPiece without unknown token', model({ type: 'WordPiece', vocab: { a: 0 } }), 'unk_token of a WordPiece must be a token'],
  ['endless words', model({ type: 'WordPiece', unk_token: 'a', max_input_chars_per_word: 1e9, vocab: { a: 0 } }), 'max_input_chars_per_word must be an integer up to 10000'],
  ['a Unigram without scores', model({ type: 'Unigram', vocab: [['a']] }), 'vocab must be a list of [token, score]'],
  ['a Unigram with a wild unknown id', model({ type: 'Unigram', unk_id: 9, vocab: [['a', 0]] }), 'unk_id must be an index of the vocabulary, got "9"'],
  ['added tokens that are no list', stage('added_tokens', {}), 'added_tokens must be an array, got an object'],
  ['an added token without content', stage('added_tokens', [{ id: 3, content: '' }]), 'distinct contents and ids below 2^24'],
  ['an added token with a taken id', stage('added_tokens', [{ id: 3, content: 'new' }]), 'added_tokens must not take ids of the vocabulary, got 3 for "new"'],
  ['an added token with an odd flag', stage('added_tokens', [{ id: 900, content: 'new', lstrip: 1 }]), 'lstrip of "new" must be true or false'],
  ['an unknown pre-tokenizer', stage('pre_tokenizer', { type: 'Delimiter' }), 'pre_tokenizer must be one of BertPreTokenizer'],
  ['a type from the prototype', stage('decoder', { type: 'constructor' }), 'decoder must be one of ByteLevel'],
  ['windows of no length', stage('pre_tokenizer', { type: 'FixedLength', length: 0 }), 'length of pre_tokenizer FixedLength must be an integer ≥ 1, got "0"'],
  ['a pattern of neither form', stage('pre_tokenizer', { type: 'Split', pattern: {} }), 'pattern of pre_tokenizer Split must be { Regex } or { String }'],
  ['an invalid regular expression', stage('pre_tokenizer', { type: 'Split', pattern: { Regex: '(' } }), 'must be usable, got: Invalid regular expression'],
  ['a sequence inside a sequence without end', stage('normalizer', nested(40)), 'normalizer must be nested at most 8 deep'],
  ['a template of nonsense', stage('post_processor', { type: 'TemplateProcessing', single: [{ Sequence: { id: 'C' } }] }), 'single of post_processor TemplateProcessing must be a list'],
];

function nested(depth: number): object {
  return { type: 'Sequence', normalizers: depth === 0 ? [] : [nested(depth - 1)] };
}

describe('tokenizerFromJson of a file that is wrong', () => {
  it.each(wrong)('tokenizerFromJson(%s) throws one clear line', (_, json, message) => {
    let error: unknown;
    try {
      tokenizerFromJson(json);
    } catch (thrown) {
      error = thrown;
    }
    expect(isOurs(error)).toBe(true);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).toMatch(/^tokenizerFromJson: json[^\n]{10,600}$/);
  });

  it('tokenizerFromJson(an unknown stage or model) throws UnsupportedError', () => {
    expect(() => tokenizerFromJson(stage('decoder', { type: 'New' }))).toThrow(UnsupportedError);
    expect(() => tokenizerFromJson(model({ type: 'New', vocab: { a: 0 } }))).toThrow(UnsupportedError);
  });

  it('tokenizerFromJson takes __proto__ and constructor for tokens like any other', () => {
    const tokenizer = tokenizerFromJson(JSON.parse('{"model":{"type":"WordLevel","vocab":{"__proto__":0,"constructor":1}},"pre_tokenizer":{"type":"WhitespaceSplit"}}'));
    expect([...tokenizer.encode('constructor __proto__')]).toEqual([1, 0]);
    expect(charTokenizer('_').tokenToId('constructor')).toBeUndefined();
  });
});

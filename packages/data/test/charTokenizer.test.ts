import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { ConfigError } from '@evenkeel/core-tensor';
import { charTokenizer, tokenizerFromJson, type TokenizerJson } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { golden } from './golden.ts';
import { awkwardText } from './helpers.ts';

const library = (json: TokenizerJson): LibraryTokenizer => new LibraryTokenizer(JSON.parse(JSON.stringify(json)) as object, { clean_up_tokenization_spaces: false });

describe('charTokenizer', () => {
  it('charTokenizer(text) numbers the characters in the order of their code points', () => {
    const tokenizer = charTokenizer('hello 🙂\n');
    expect(tokenizer.vocabSize).toBe(7);
    expect([...tokenizer.encode('\n ehlo🙂')]).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(tokenizer.decode([3, 2, 4, 4, 5])).toBe('hello');
    expect(tokenizer.tokenToId('🙂')).toBe(6);
    expect(tokenizer.tokenToId('x')).toBeUndefined();
    expect(tokenizer.tokenToId('he')).toBeUndefined();
    expect(tokenizer.kind).toBe('char');
  });

  it('charTokenizer(pieces) is charTokenizer of the whole', () => {
    const text = awkwardText(1, 200);
    expect(charTokenizer([text.slice(0, 5), '', text.slice(5)]).json).toEqual(charTokenizer(text).json);
  });

  it('decode(encode(text)) is the text, also with spaces before marks, line ends, zero bytes and astral characters', () => {
    for (let seed = 0; seed < 20; seed++) {
      const text = `${awkwardText(seed, 100)} . ? ! n't 's __proto__ 0`;
      const tokenizer = charTokenizer(text);
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
  });

  it('the Hugging Face library reads the json, encodes the same ids and gives the text back', () => {
    for (let seed = 0; seed < 20; seed++) {
      const text = `${awkwardText(seed, 100)} . \n n't`;
      const tokenizer = charTokenizer(text);
      const theirs = library(tokenizer.json);
      expect(theirs.encode(text).ids).toEqual([...tokenizer.encode(text)]);
      expect(theirs.decode([...tokenizer.encode(text)])).toBe(text);
    }
  });

  it('tokenizerFromJson reads the json back as the same tokenizer, and one that Hugging Face wrote', () => {
    const { json, encode } = charTokenizer(golden.text);
    const again = tokenizerFromJson(JSON.parse(JSON.stringify(json)));
    expect(again.kind).toBe('char');
    expect(again.encode(golden.text)).toEqual(encode(golden.text));
    const theirs = tokenizerFromJson(golden.char.json);
    expect(theirs.kind).toBe('char');
    expect([...theirs.encode(golden.char.sample)]).toEqual(golden.char.ids);
    expect([...encode(golden.char.sample)]).toEqual(golden.char.ids);
  });

  it('encode of a character the tokenizer lacks names it, its code point, position and line', () => {
    const { encode } = charTokenizer('abc\n');
    expect(() => encode('ab\ncé')).toThrow(new ConfigError('encode: text must hold only characters of the tokenizer, got "é" (U+00E9) at position 4, line 2'));
    expect(() => encode('🙂')).toThrow('got "🙂" (U+1F642) at position 0, line 1');
    expect(() => encode('\u0001')).toThrow('got "\\u0001" (U+0001)');
    expect(() => encode('\ud800')).toThrow('got "\\ud800" (U+D800)');
    expect(() => encode('x', { origin: { position: 10, line: 3 } })).toThrow('at position 10, line 3');
  });

  it('decode of an unknown id throws ConfigError', () => {
    expect(() => charTokenizer('ab').decode([0, 2])).toThrow('decode: ids must be tokens of the tokenizer, got 2');
    expect(() => charTokenizer('ab').decode([-1])).toThrow(ConfigError);
    expect(charTokenizer('ab').decode([])).toBe('');
    expect([...charTokenizer('ab').encode('')]).toEqual([]);
  });

  it('charTokenizer of 140,001 different characters, more than a call takes arguments, gives each a token', () => {
    const text = Array.from({ length: 140_001 }, (_, i) => String.fromCodePoint(0x10000 + i)).join('');
    const { vocabSize, encode, decode, json } = charTokenizer(text);
    expect(vocabSize).toBe(140_001);
    const last = encode('\u{10000}\u{322e0}');
    expect(tokenizerFromJson(json).vocabSize).toBe(140_001);
    expect([[...last], decode(last)]).toEqual([[0, 140_000], '\u{10000}\u{322e0}']);
  });

  it('charTokenizer of an empty or ill-formed text throws ConfigError', () => {
    expect(() => charTokenizer('')).toThrow('charTokenizer: text must hold characters, got an empty text');
    expect(() => charTokenizer(['', ''])).toThrow(ConfigError);
    expect(() => charTokenizer('a\udc00')).toThrow('charTokenizer: text must be well-formed, got half a surrogate pair (U+DC00) at position 1');
  });
});

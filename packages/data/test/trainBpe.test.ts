import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { ConfigError } from '@evenkeel/core-tensor';
import { tokenizerFromJson, trainBpe, type Tokenizer } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { golden } from './golden.ts';
import { awkwardText, picker } from './helpers.ts';

const library = ({ json }: Tokenizer): LibraryTokenizer => new LibraryTokenizer(JSON.parse(JSON.stringify(json)) as object, { clean_up_tokenization_spaces: false });

/** Byte-pair encoding from its definition: count all pairs of all words anew for every merge. */
function naiveMerges(words: string[], merges: number): string[] {
  let split = words.map((word) => [...word]);
  const alphabet = [...new Set(split.flat())].sort();
  const made: string[] = [];
  for (let round = 0; round < merges; round++) {
    const counts = new Map<string, number>();
    for (const word of split) for (let i = 0; i + 1 < word.length; i++) counts.set(`${word[i]} ${word[i + 1]}`, (counts.get(`${word[i]} ${word[i + 1]}`) ?? 0) + 1);
    const rank = (token: string): number => alphabet.indexOf(token);
    const [best] = [...counts].filter(([, count]) => count >= 2).sort(([a, m], [b, n]) => {
      const [[al, ar], [bl, br]] = [a.split(' '), b.split(' ')] as [[string, string], [string, string]];
      return n - m || rank(al) - rank(bl) || rank(ar) - rank(br);
    });
    if (best === undefined) break;
    const [left, right] = best[0].split(' ') as [string, string];
    made.push(best[0]);
    if (!alphabet.includes(left + right)) alphabet.push(left + right);
    split = split.map((word) => mergeOnce(word, left, right));
  }
  return made;
}

function mergeOnce(word: string[], left: string, right: string): string[] {
  const out: string[] = [];
  for (let i = 0; i < word.length; i++) {
    const isPair = word[i] === left && word[i + 1] === right;
    out.push(isPair ? left + right : (word[i] as string));
    if (isPair) i++;
  }
  return out;
}

describe('trainBpe', () => {
  it.each(golden.bpe)('trainBpe({ vocabSize: $vocabSize, minFrequency: $minFrequency }) learns the merges and ids of Hugging Face', ({ vocabSize, minFrequency, learned, merges, ids }) => {
    const tokenizer = trainBpe(golden.text, { vocabSize, minFrequency });
    expect(tokenizer.json.model.merges).toEqual(merges);
    expect(tokenizer.vocabSize).toBe(learned);
    expect(golden.samples.map((sample) => [...tokenizer.encode(sample)])).toEqual(ids);
  });

  it('trainBpe agrees with counting all pairs anew for every merge', () => {
    for (let seed = 0; seed < 30; seed++) {
      const pick = picker(seed, 'words');
      const words = Array.from({ length: 60 }, () => Array.from({ length: 1 + pick(8) }, () => 'abc'[pick(3)]).join(''));
      const expected = naiveMerges(words.map((word, i) => (i === 0 ? word : `Ġ${word}`)), 40);
      expect(trainBpe(words.join(' '), { vocabSize: 256 + 40 }).json.model.merges).toEqual(expected);
    }
  });

  it('trainBpe(pieces) is trainBpe of the whole, and the same on every call', () => {
    const whole = trainBpe(golden.text, { vocabSize: 400 });
    const cut = golden.text.lastIndexOf(' ', 5000);
    expect(trainBpe([golden.text.slice(0, cut), golden.text.slice(cut)], { vocabSize: 400 }).json).toEqual(whole.json);
    expect(trainBpe(golden.text, { vocabSize: 400 }).json).toEqual(whole.json);
  });

  it('trainBpe gives the bytes the ids of GPT-2 and puts special tokens last', () => {
    const tokenizer = trainBpe('a a a', { vocabSize: 260, specialTokens: ['<|endoftext|>', '<pad>'] });
    expect(['!', 'a', 'Ġ', 'ÿ'].map((token) => tokenizer.tokenToId(token))).toEqual([0, 64, 220, 187]);
    expect(tokenizer.json.model.merges).toEqual(['Ġ a']);
    expect([tokenizer.tokenToId('<|endoftext|>'), tokenizer.tokenToId('<pad>'), tokenizer.vocabSize]).toEqual([257, 258, 259]);
    expect([...tokenizer.encode('a<pad> a<|endoftext|>')]).toEqual([64, 258, 256, 257]);
    expect(tokenizer.decode([64, 258, 256, 257])).toBe('a<pad> a<|endoftext|>');
  });

  it('trainBpe does not learn from the letters of special tokens', () => {
    const text = '<|end|>ab '.repeat(50);
    const merges = trainBpe(text, { vocabSize: 300, specialTokens: ['<|end|>'] }).json.model.merges;
    expect(merges).toEqual(['a b']);
  });

  it('trainBpe of a bad setting throws ConfigError', () => {
    expect(() => trainBpe('a', { vocabSize: 255 })).toThrow('trainBpe: vocabSize must be an integer ≥ 256, got 255');
    expect(() => trainBpe('a', { vocabSize: 256, specialTokens: ['<x>'] })).toThrow('an integer ≥ 257');
    expect(() => trainBpe('a', { vocabSize: 300, minFrequency: 0 })).toThrow(ConfigError);
    expect(() => trainBpe('', { vocabSize: 300 })).toThrow('trainBpe: text must hold words, got an empty text');
    expect(() => trainBpe('\ud800', { vocabSize: 300 })).toThrow('half a surrogate pair');
    expect(() => trainBpe('b', { vocabSize: 300, specialTokens: ['x', 'x'] })).toThrow('specialTokens must be distinct and not empty');
    expect(() => trainBpe('b', { vocabSize: 300, specialTokens: ['a'] })).toThrow('specialTokens must not be tokens of the text, got "a"');
  });
});

describe('a byte-level BPE', () => {
  const tokenizer = trainBpe(golden.text + awkwardText(5, 4000), { vocabSize: 700, specialTokens: ['<|end|>', '<|end', 'a-b]'] });

  it('encode gives the ids of the Hugging Face library, and decode its text, on awkward texts', () => {
    const theirs = library(tokenizer);
    for (let seed = 0; seed < 200; seed++) {
      const text = `a${awkwardText(seed, 60)}a-b]`;
      const ids = [...tokenizer.encode(text)];
      expect(ids).toEqual(theirs.encode(text).ids);
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  it('decode of any ids, also of half characters, is what the library gives', () => {
    const theirs = library(tokenizer);
    for (let seed = 0; seed < 200; seed++) {
      const pick = picker(seed, 'ids');
      const ids = Array.from({ length: 20 }, () => pick(tokenizer.vocabSize));
      expect(tokenizer.decode(ids)).toBe(theirs.decode(ids));
    }
  });

  it('encode of a word of 20,000 letters takes no quadratic time and gives the ids of the library', () => {
    const text = 'ab'.repeat(10_000);
    const ids = tokenizer.encode(text);
    expect([...ids]).toEqual(library(tokenizer).encode(text).ids);
    expect(tokenizer.decode(ids) === text).toBe(true);
  });

  it('tokenizerFromJson reads the json back as the same tokenizer, also with merges as pairs', () => {
    const pairs = { ...tokenizer.json, model: { ...tokenizer.json.model, merges: tokenizer.json.model.merges?.map((merge) => (merge as string).split(' ')) } };
    for (const json of [tokenizer.json, pairs]) {
      const again = tokenizerFromJson(JSON.parse(JSON.stringify(json)));
      expect([again.kind, again.vocabSize, again.piecewise]).toEqual(['bpe', tokenizer.vocabSize, true]);
      expect(again.encode(golden.text)).toEqual(tokenizer.encode(golden.text));
    }
  });

  it('decode of an unknown id and encode of an ill-formed text throw ConfigError', () => {
    expect(() => tokenizer.decode([tokenizer.vocabSize])).toThrow(`decode: ids must be tokens of the tokenizer, got ${tokenizer.vocabSize}`);
    expect(() => tokenizer.encode('a\ud83d')).toThrow('encode: text must be well-formed, got half a surrogate pair (U+D83D) at position 1');
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.encode('')).toEqual(new Int32Array(0));
  });

  it('a special token with white space makes the tokenizer refuse pieces', () => {
    expect(trainBpe('a a', { vocabSize: 300, specialTokens: ['<end of text>'] }).piecewise).toBe(false);
  });
});

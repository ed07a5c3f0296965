import { mkdtempSync, readFileSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { ARABIC_CLEANING, loadTokenizer, tokenizerFromJson, trainWordPiece } from '@evenkeel/data';

const vocabOf = (tokenizer: { json: { model: { vocab: unknown } } }): string[] => Object.keys(tokenizer.json.model.vocab as object);
const piecesOf = (tokenizer: ReturnType<typeof trainWordPiece>, text: string): string[] => Array.from(tokenizer.encode(text), (id) => vocabOf(tokenizer)[id]!);

describe('trainWordPiece', () => {
  it('trainWordPiece makes the most frequent pair first, without the second piece\'s ##', () => {
    const text = 'ab ab ab abc abc';
    expect(vocabOf(trainWordPiece(text, { vocabSize: 9 }))).toEqual(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', '##b', '##c', 'ab']);
    expect(vocabOf(trainWordPiece(text, { vocabSize: 100 })).slice(8)).toEqual(['ab', 'abc']); // no more pairs
    expect(vocabOf(trainWordPiece(text, { vocabSize: 100, minFrequency: 3 })).slice(8)).toEqual(['ab']);
  });

  it('trainWordPiece of one text gives the same vocabulary each time; ties go to the smaller ids', () => {
    const text = 'the cat sat on the mat with the other cat and a hat';
    expect(vocabOf(trainWordPiece(text, { vocabSize: 60 }))).toEqual(vocabOf(trainWordPiece([text.slice(0, 23), text.slice(23)], { vocabSize: 60 })));
    expect(vocabOf(trainWordPiece('xy zw xy zw', { vocabSize: 10 })).at(-1)).toBe('xy'); // x stands before z
  });

  it('trainWordPiece.encode takes the longest piece from the left, and an unknown rest makes the whole word [UNK]', () => {
    const tokenizer = tokenizerFromJson({
      ...trainWordPiece('a', { vocabSize: 10 }).json,
      model: { ...trainWordPiece('a', { vocabSize: 10 }).json.model, vocab: { '[PAD]': 0, '[UNK]': 1, '[CLS]': 2, '[SEP]': 3, '[MASK]': 4, un: 5, '##aff': 6, '##able': 7 } },
    });
    expect(Array.from(tokenizer.encode('unaffable'))).toEqual([5, 6, 7]);
    expect(Array.from(tokenizer.encode('Unaffable unx'))).toEqual([5, 6, 7, 1]);
    expect(Array.from(tokenizer.encode('unaffable', { addSpecialTokens: true }))).toEqual([2, 5, 6, 7, 3]);
    expect(Array.from(tokenizer.encode('u'.repeat(101)))).toEqual([1]);
    expect(tokenizer.decode([5, 6, 7])).toBe('unaffable');
  });

  it('decode(encode(x)) is the normalised x where nothing is unknown', () => {
    const text = 'Le café, naïve — ÉTÉ 42 مَرْحَبًا بك';
    const tokenizer = trainWordPiece(text, { vocabSize: 200 });
    expect(tokenizer.decode(tokenizer.encode(text))).toBe('le cafe , naive — ete 42 مرحبا بك');
    const cased = trainWordPiece(text, { vocabSize: 200, lowercase: false });
    expect(cased.decode(cased.encode(text)).normalize('NFC')).toBe('Le café , naïve — ÉTÉ 42 مَرْحَبًا بك');
  });

  it('ARABIC_CLEANING joins forms of letters and takes away what comments are full of', () => {
    const tokenizer = trainWordPiece('اهلا برشا مدرسه علي هههه salut', { vocabSize: 200, normalizers: ARABIC_CLEANING });
    const same = (a: string, b: string) => expect(Array.from(tokenizer.encode(a))).toEqual(Array.from(tokenizer.encode(b)));
    same('أهلا', 'اهلا');
    same('برشـــا', 'برشا');
    same('مدرسة', 'مدرسه');
    same('على', 'علي');
    same('saluuuuut', 'saluut');
    same('salut @some.one https://example.org/a?b=c', 'salut');
  });

  it('what trainWordPiece writes is read by @huggingface/tokenizers with the same ids', () => {
    const tokenizer = trainWordPiece('one two three two three three, the three of them', { vocabSize: 60 });
    const library = new LibraryTokenizer(JSON.parse(JSON.stringify(tokenizer.json)), { ...tokenizer.config });
    for (const text of ['three of them', 'Two, three!', 'zebra']) expect(library.encode(text, { add_special_tokens: false }).ids).toEqual(Array.from(tokenizer.encode(text)));
    const pair = library.encode('one', { text_pair: 'two', return_token_type_ids: true });
    expect(pair.token_type_ids.slice(-2)).toEqual([1, 1]);
  });

  it('loadTokenizer reads a vocab.txt as older BERTs have it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'evenkeel-wordpiece-'));
    const tokenizer = trainWordPiece('one two three two three three', { vocabSize: 60 });
    writeFileSync(join(directory, 'vocab.txt'), `${vocabOf(tokenizer).join('\n')}\n`);
    expect(Array.from((await loadTokenizer(directory)).encode('Three two'))).toEqual(Array.from(tokenizer.encode('three two')));
    writeFileSync(join(directory, 'tokenizer_config.json'), JSON.stringify({ do_lower_case: false }));
    expect(Array.from((await loadTokenizer(directory)).encode('Three'))).toEqual([1]);
    writeFileSync(join(directory, 'vocab.txt'), 'a\nb\n');
    await expect(loadTokenizer(directory)).rejects.toThrow('vocab.txt must hold [PAD], [UNK], [CLS], [SEP], [MASK], got none called [PAD]');
  });

  it('trainWordPiece({ maxAlphabet }) keeps the most frequent characters', () => {
    const tokenizer = trainWordPiece('aaa aaa aab abz', { vocabSize: 60, maxAlphabet: 2 });
    expect(vocabOf(tokenizer)).not.toContain('##z');
    expect(piecesOf(tokenizer, 'aaa abz')).toEqual(['aaa', '[UNK]']);
  });

  it('trainWordPiece names an empty text, too few tokens and broken text', () => {
    expect(() => trainWordPiece(' \n', { vocabSize: 10 })).toThrow('trainWordPiece: text must hold words, got none');
    expect(() => trainWordPiece('abc', { vocabSize: 7 })).toThrow('trainWordPiece: vocabSize must be at least 8, for the special tokens and characters, got 7');
    expect(() => trainWordPiece('a\ud800', { vocabSize: 10 })).toThrow('text must be well-formed');
    expect(() => trainWordPiece('a', { vocabSize: 0 })).toThrow('vocabSize must be an integer ≥ 1, got 0');
  });
});

const folder = process.env['EVENKEEL_DATA'];
const train = folder === undefined ? [] : ['pos', 'neg'].map((kind) => join(folder, 'text', 'tsac', `train_${kind}.txt`)).filter(existsSync);

describe.skipIf(train.length < 2)('on Tunisian comments (EVENKEEL_DATA)', () => {
  it('a vocabulary of 4,000 pieces needs at most 60 % of the tokens of characters, and less than 1 % is unknown in the test part', () => {
    const read = (part: string) => ['pos', 'neg'].map((kind) => readFileSync(join(folder!, 'text', 'tsac', `${part}_${kind}.txt`), 'utf8')).join('\n');
    const tokenizer = trainWordPiece(read('train').split('\n'), { vocabSize: 4000, normalizers: ARABIC_CLEANING });
    expect(tokenizer.vocabSize).toBe(4000);
    const lines = read('test').split('\n').filter((line) => /\p{Script=Arabic}/u.test(line)).slice(0, 500);
    const ids = lines.flatMap((line) => Array.from(tokenizer.encode(line)));
    const characters = lines.join('').replace(/\s/g, '').length;
    expect(ids.length / characters).toBeLessThan(0.6);
    expect(ids.filter((id) => id === 1).length / ids.length).toBeLessThan(0.01);
  });
});

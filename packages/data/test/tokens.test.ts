import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '@evenkeel/core-tensor';
import { charTokenizer, loadTokenizer, openTokens, readText, splitTokens, tokenizeText, trainBpe, writeTokens } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { golden } from './golden.ts';
import { awkwardText, directoryWith, picker, rejection } from './helpers.ts';

const ids = Int32Array.from({ length: 1001 }, (_, i) => (i * 7919) % 50_000);

describe('writeTokens and openTokens', () => {
  it.each([[0, 4], [50_000, 2], [65_536, 2], [65_537, 4]])('openTokens reads what writeTokens wrote with vocabSize %i, from memory and by positioned reads', async (vocabSize, tokenBytes) => {
    const path = join(directoryWith(), 'x.tokens');
    await writeTokens(path, ids, { vocabSize });
    expect(statSync(path).size).toBe(32 + ids.length * tokenBytes);
    for (const memoryBytes of [undefined, 0]) {
      const tokens = await openTokens(path, { memoryBytes });
      expect([tokens.length, tokens.vocabSize]).toEqual([ids.length, vocabSize]);
      const pick = picker(1, 'reads');
      for (let i = 0; i < 100; i++) {
        const start = pick(ids.length);
        const out = new Int32Array(pick(ids.length - start + 1));
        tokens.read(start, out);
        expect(out).toEqual(ids.slice(start, start + out.length));
      }
      tokens.close();
    }
  });

  it('writeTokens takes pieces and keeps large ids', async () => {
    const path = join(directoryWith(), 'x.tokens');
    await writeTokens(path, [Int32Array.of(1, 2 ** 31 - 1), new Int32Array(0), Int32Array.of(3)]);
    const tokens = await openTokens(path);
    const out = new Int32Array(3);
    tokens.read(0, out);
    expect([...out]).toEqual([1, 2 ** 31 - 1, 3]);
    tokens.close();
  });

  it('a read beyond the end throws ConfigError', async () => {
    const path = join(directoryWith(), 'x.tokens');
    await writeTokens(path, ids);
    const tokens = await openTokens(path);
    expect(() => tokens.read(1000, new Int32Array(2))).toThrow('read: tokens must be within 0 … 1001, got 1000 … 1002');
    expect(() => tokens.read(-1, new Int32Array(1))).toThrow(ConfigError);
    expect(() => tokens.read(0.5, new Int32Array(1))).toThrow(ConfigError);
    tokens.close();
  });

  it('writeTokens of an id beyond the vocabulary throws and leaves the previous file and no other', async () => {
    const directory = directoryWith();
    const path = join(directory, 'x.tokens');
    await writeTokens(path, ids);
    const before = readFileSync(path);
    await expect(writeTokens(path, [ids, Int32Array.of(5, 50_000)], { vocabSize: 50_000 })).rejects.toThrow('writeTokens: ids must be in 0 … 49999, got 50000 at 1002');
    await expect(writeTokens(path, Int32Array.of(-1))).rejects.toThrow('got -1 at 0');
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(directory)).toEqual(['x.tokens']);
    await expect(writeTokens(join(directory, 'none', 'x'), ids)).rejects.toThrow(/^writeTokens: .*none\/x must be writable, got no such file or directory \(ENOENT\)$/);
  });

  it('openTokens of a damaged file throws one line that names the path', async () => {
    const path = join(directoryWith(), 'x.tokens');
    const damage: [edit: (file: Buffer) => void, message: string][] = [
      [(file) => file.write('X', 0), 'must be a token file written by writeTokens, got another file'],
      [(file) => file.writeUInt32LE(9, 8), 'must have version 1 and 2 or 4 bytes per token, got version 9'],
      [(file) => file.writeUInt32LE(3, 12), 'got version 1 and 3'],
      [(file) => file.writeDoubleLE(1e300, 16), 'Is it truncated?'],
      [(file) => file.writeDoubleLE(NaN, 16), 'Is it truncated?'],
      [(file) => file.writeDoubleLE(-1, 16), 'Is it truncated?'],
      [(file) => file.writeDoubleLE(1000.5, 16), 'Is it truncated?'],
    ];
    for (const [edit, message] of damage) {
      await writeTokens(path, ids, { vocabSize: 50_000 });
      const file = readFileSync(path);
      edit(file);
      writeFileSync(path, file);
      const error = await rejection(openTokens(path));
      expect(error).toBeInstanceOf(ConfigError);
      expect(error.message).toContain(message);
      expect(error.message).toMatch(new RegExp(`^openTokens: ${path} must [^\n]+$`));
    }
    for (const size of [0, 10, 32, 33]) {
      await writeTokens(path, ids);
      truncateSync(path, size);
      expect((await rejection(openTokens(path))).message).toMatch(size < 32 ? /got another file/ : /Is it truncated\?/);
    }
    await expect(openTokens(join(path, 'none'))).rejects.toThrow('must be a token file, got not a directory (ENOTDIR)');
  });

  it('a read of ids beyond the vocabulary, or of a file cut off meanwhile, throws instead of training on nonsense', async () => {
    const path = join(directoryWith(), 'x.tokens');
    await writeTokens(path, ids, { vocabSize: 50_000 });
    const file = readFileSync(path);
    file.writeUInt16LE(60_000, 32 + 2 * 5);
    writeFileSync(path, file);
    const tokens = await openTokens(path, { memoryBytes: 0 });
    expect(() => tokens.read(3, new Int32Array(4))).toThrow(`openTokens: ${path} must hold ids below 50000, got 60000 at 5`);
    truncateSync(path, 100);
    expect(() => tokens.read(40, new Int32Array(4))).toThrow('must keep its length while it is open');
    tokens.close();
  });
});

describe('tokenizeText', () => {
  it('tokenizeText(path) in pieces gives the tokens of the whole text, for characters and for BPE', async () => {
    const text = awkwardText(11, 15_000).replaceAll('\0', '').repeat(80);
    const directory = directoryWith({ 'corpus/a.txt': text, 'corpus/b.txt': golden.text });
    const whole = await readText(join(directory, 'corpus'));
    const out = join(directory, 'x.tokens');
    for (const tokenizer of [charTokenizer(whole), trainBpe(whole.slice(-300_000), { vocabSize: 400, specialTokens: ['<|end|>'] })]) {
      const expected = tokenizer.encode(whole);
      expect(await tokenizeText(join(directory, 'corpus'), tokenizer, out)).toBe(expected.length);
      const tokens = await openTokens(out);
      const got = new Int32Array(tokens.length);
      tokens.read(0, got);
      tokens.close();
      expect(tokens.vocabSize).toBe(tokenizer.vocabSize);
      expect(Buffer.compare(Buffer.from(got.buffer), Buffer.from(expected.buffer))).toBe(0);
    }
  });

  it('tokenizeText of a character the tokenizer lacks gives its place in the whole text and writes nothing', async () => {
    const directory = directoryWith({ 'a.txt': `${'ab\n'.repeat(2_000_000)}c` });
    const error = await rejection(tokenizeText(join(directory, 'a.txt'), charTokenizer('ab\n'), join(directory, 'out')));
    expect(error.message).toContain('got "c" (U+0063) at position 6000000, line 2000001');
    expect(readdirSync(directory)).toEqual(['a.txt']);
  });

  it('tokenizeText with a tokenizer of another kind encodes the text at once', async () => {
    const directory = directoryWith({ 'a.txt': 'hello, cafe running' });
    const tokenizer = await loadTokenizer(golden.wordPiece.json);
    expect(await tokenizeText(join(directory, 'a.txt'), tokenizer, join(directory, 'out'))).toBe(5);
  });
});

describe('splitTokens', () => {
  it('splitTokens(tokens, 0.1) gives the first nine tenths and the rest, without copying', () => {
    const { train, val } = splitTokens(ids, 0.1);
    expect([train.length, val.length]).toEqual([900, 101]);
    const [a, b] = [new Int32Array(900), new Int32Array(101)];
    train.read(0, a);
    val.read(0, b);
    expect([...a, ...b]).toEqual([...ids]);
    expect(() => train.read(899, new Int32Array(2))).toThrow(ConfigError);
    expect(splitTokens(new Int32Array(1_115_394), 0.1).train.length).toBe(1_003_854);
  });

  it('splitTokens(tokens, 0) keeps nothing for validation; 1 and NaN throw', () => {
    expect(splitTokens([1, 2, 3], 0).val.length).toBe(0);
    for (const fraction of [1, -0.1, NaN]) expect(() => splitTokens([1, 2, 3], fraction)).toThrow('splitTokens: valFraction must be in [0, 1)');
  });
});

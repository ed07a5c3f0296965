import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '@evenkeel/core-tensor';
import { charTokenizer, readText, textFiles, textPieces, tokenizeText } from '@evenkeel/data';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { awkwardText, directoryWith, rejection } from './helpers.ts';

afterEach(() => vi.restoreAllMocks());

describe('readText', () => {
  it('readText(file) gives its text with its line ends, without a byte order mark', async () => {
    const directory = directoryWith({ 'a.bin': '\ufeffé\r\n日本🙂\n', b: 'x' });
    expect(await readText(join(directory, 'a.bin'))).toBe('é\r\n日本🙂\n');
    expect(await readText(join(directory, 'b'))).toBe('x');
  });

  it('readText(directory) joins all text files in the order of their paths and skips binary, hidden and installed ones', async () => {
    const directory = directoryWith({
      'b.txt': 'B', 'a/z.md': 'Z', 'a/B.md': 'b', 'a.txt': 'A', 'README': 'R', '.hidden': 'no', '.git/x.txt': 'no', 'node_modules/x.txt': 'no',
      'image.png': Uint8Array.of(137, 80, 0, 71), 'latin1.txt': Uint8Array.of(0x41, 0xe9, 0x41), 'empty.txt': '',
    });
    expect(await readText(directory)).toBe('R\nb\nZ\nA\nB\n');
    expect(await readText(directory, { extensions: ['.md'], separator: '' })).toBe('bZ');
  });

  it('readText(directory) follows links to files and not to directories, so that no loop is endless', async () => {
    const directory = directoryWith({ 'a.txt': 'A' });
    symlinkSync(directory, join(directory, 'loop'));
    symlinkSync(join(directory, 'a.txt'), join(directory, 'link.txt'));
    symlinkSync(join(directory, 'none'), join(directory, 'broken.txt'));
    expect(await readText(directory)).toBe('A\nA');
  });

  const bad: [what: string, files: Record<string, string | Uint8Array>, path: string, message: string][] = [
    ['a missing path', {}, 'none', 'must be a text file or a directory, got no such file or directory (ENOENT)'],
    ['an empty file', { a: '' }, 'a', 'must hold text, got an empty file'],
    ['a file with only a byte order mark', { a: '\ufeff' }, 'a', 'must hold text, got an empty file'],
    ['a zero byte', { a: 'text\0more' }, 'a', 'must be UTF-8 text, got a zero byte at 4. Is it a binary file?'],
    ['another encoding', { a: Uint8Array.of(0x41, 0x42, 0xe9, 0x41) }, 'a', 'must be UTF-8 text, got an invalid byte near 3.'],
    ['a character cut off at the end', { a: Uint8Array.of(0x41, 0xe6, 0x97) }, 'a', 'must be UTF-8 text, got an invalid byte near 3.'],
    ['an empty directory', {}, '.', 'must hold text files, got no file at all'],
    ['a directory of binary files', { 'a.png': Uint8Array.of(0), 'b.png': Uint8Array.of(255) }, '.', 'must hold text files, got none among 2 files'],
    ['a directory without such files', { 'a.txt': 'a' }, '.', 'must hold files ending in .md, got none among 1 files'],
    ['a binary file with a wanted extension', { 'a.md': Uint8Array.of(1, 0) }, '.', 'a.md must be UTF-8 text, got a zero byte at 1.'],
  ];
  it.each(bad)('readText of %s throws one line that names the path', async (_, files, path, message) => {
    const directory = directoryWith(files);
    const error = await rejection(readText(join(directory, path), { extensions: message.includes('.md') ? ['.md'] : undefined }));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toContain(message);
    expect(error.message).toMatch(new RegExp(`^readText: ${directory}[^\n]*$`));
  });

  it('readText finds bad bytes beyond the first chunk and says where', async () => {
    const bytes = new Uint8Array(9_000_001).fill(0x61);
    bytes[8_500_000] = 0xff;
    const directory = directoryWith({ a: bytes });
    expect((await rejection(readText(join(directory, 'a')))).message).toContain('got an invalid byte near 8500000.');
  });
});

describe('readText beside others', () => {
  it('readText(directory) leaves out the directories of training runs, except one that was asked for', async () => {
    const directory = directoryWith({
      'a.txt': 'A', 'runs/first/run.json': '{}', 'runs/first/state/tokens.bin.tmp': 'ab', 'runs/first/tokenizer.json': '{}', 'runs/notes.txt': 'N',
      'app/run.json': 'J', 'app/index.md': 'I', 'machine/state/x.md': 'X', 'odd/state': 'S', 'odd/run.json': 'O',
    });
    expect(await readText(directory)).toBe('A\nI\nJ\nX\nO\nS\nN');
    expect(textFiles(join(directory, 'runs', 'first'))).toHaveLength(3);
  });

  it('readText, textPieces and tokenizeText of a list take these files and none that came later', async () => {
    const directory = directoryWith({ 'a.txt': 'A', 'b.txt': 'B' });
    const files = textFiles(directory);
    writeFileSync(join(directory, 'a2.txt'), 'later');
    expect(await readText(files)).toBe('A\nB');
    expect([...textPieces(files, { separator: '+' })].join('')).toBe('A+B');
    expect(await tokenizeText(files, charTokenizer('AB\n'), join(directory, 'tokens.bin'))).toBe(3);
    await expect(readText([])).rejects.toThrow('readText: a list of 0 files must hold text, got no files');
    rmSync(join(directory, 'b.txt'));
    await expect(readText(files)).rejects.toThrow(/^readText: .*b\.txt must be a readable file, got no such file or directory \(ENOENT\)$/);
  });

  it('readText(directory) passes over files and directories that vanish while it looks for text', async () => {
    const directory = directoryWith({ 'a.txt': 'A', 'b.txt': 'B', 'c/c.txt': 'C', 'd.txt': 'D' });
    const fs = process.getBuiltinModule('node:fs');
    const list = fs.readdirSync;
    vi.spyOn(fs, 'readdirSync').mockImplementation(((...args: Parameters<typeof list>) => {
      const entries = list(...args);
      for (const name of ['b.txt', 'c']) rmSync(join(directory, name), { recursive: true, force: true });
      return entries;
    }) as typeof list);
    expect(await readText(directory)).toBe('A\nD');
  });

  it('textPieces(directory) passes over a file that vanishes before its turn', () => {
    const directory = directoryWith({ 'a.txt': 'a '.repeat(3_000_000), 'b.txt': 'B', 'c.txt': 'C' });
    const pieces = textPieces(directory);
    const first = pieces.next().value as string;
    rmSync(join(directory, 'b.txt'));
    expect([first, ...pieces].join('').slice(-4)).toBe('a \nC');
  });
});

describe('textPieces', () => {
  it('textPieces together are readText, in pieces that end before white space after another character', async () => {
    const files = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`${i}.txt`, awkwardText(i, 20_000).replaceAll('\0', '').repeat(50)]));
    const directory = directoryWith(files);
    const pieces = [...textPieces(directory)];
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces.join('') === Object.values(files).join('\n')).toBe(true);
    expect(pieces.join('') === (await readText(directory))).toBe(true);
    for (const [i, piece] of pieces.entries()) {
      if (i > 0) expect(piece).toMatch(/^\s/);
      if (i < pieces.length - 1) expect(piece).toMatch(/\S$/);
    }
  });

  it('textPieces of a text without white space is one piece', () => {
    const directory = directoryWith({ a: 'é'.repeat(3_000_000) });
    expect([...textPieces(join(directory, 'a'))].map((piece) => piece.length)).toEqual([3_000_000]);
  });
});

describe('textFiles', () => {
  it('textFiles(path) lists a file whatever its name, and a directory by extension', () => {
    const directory = directoryWith({ 'x.bin': Uint8Array.of(0), 'lib.d.ts': '', 'lib.ts': '' });
    expect(textFiles(join(directory, 'x.bin'))).toEqual([join(directory, 'x.bin')]);
    expect(textFiles(directory, { extensions: ['.d.ts'] })).toEqual([join(directory, 'lib.d.ts')]);
    expect(textFiles(directory)).toEqual([join(directory, 'lib.d.ts'), join(directory, 'lib.ts')]);
  });
});

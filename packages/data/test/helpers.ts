import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ConfigError, UnsupportedError, foldSeed, randomBits } from '@evenkeel/core-tensor';
import { afterEach } from 'vitest';

const cleanups: string[] = [];
afterEach(() => {
  for (const directory of cleanups.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A directory for one test, with these files in it, removed after it. */
export function directoryWith(files: Record<string, string | Uint8Array> = {}): string {
  const directory = mkdtempSync(join(tmpdir(), 'evenkeel-data-'));
  cleanups.push(directory);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  return directory;
}

/** Draws from a seed: `pick(n)` is an integer in 0 … n − 1. */
export function picker(seed: number, ...parts: (number | string)[]): (n: number) => number {
  let block = 0;
  let bits: Uint32Array = new Uint32Array(0);
  let next = 0;
  return (n) => {
    if (next === bits.length) [bits, next] = [randomBits(foldSeed(seed, ...parts, block++), 256), 0];
    return Math.floor(((bits[next++] as number) / 2 ** 32) * n);
  };
}

const FRAGMENTS = [
  'a', 'b', 'ab', 'the', ' the', "'s", "'ll", "don't", ' ', '  ', '\n', '\r\n', '\t', '\u00a0', '\u0085', '\ufeff', '12', ' 3', '٣', '.', '...', '!?', '_', 'é', 'e\u0301',
  'ß', 'ж', '日本', 'ｆ', '🙂', '👩‍👩‍👧', '\u0000', '\u200b', '𝔘𝔫𝔦', '<|end|>', '<', '|', 'Ġ', 'aaaa',
];

/** A text of `length` fragments that are awkward for tokenizers. */
export function awkwardText(seed: number, length: number): string {
  const pick = picker(seed, 'text');
  return Array.from({ length }, () => FRAGMENTS[pick(FRAGMENTS.length)]).join('');
}

export const isOurs = (error: unknown): boolean => error instanceof ConfigError || error instanceof UnsupportedError;

/** What a promise is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  return promise.then(() => { throw new Error('nothing was thrown'); }, (error: Error) => error);
}

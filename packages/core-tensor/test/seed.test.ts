import { ConfigError, foldSeed, randomBits, seedKey, threefry2x32 } from '@evenkeel/core-tensor';
import { describe, expect, it } from 'vitest';

const hex = (words: readonly number[]): string => words.map((word) => word.toString(16).padStart(8, '0')).join(' ');

describe('threefry2x32(key0, key1, counter0, counter1)', () => {
  // Known answers of Random123 1.14 (kat_vectors, threefry2x32 20).
  it.each([
    [0, 0, 0, 0, '6b200159 99ba4efe'],
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, '1cb996fc bb002be7'],
    [0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3, 'c4923a9c 483df7a0'],
  ] as const)('threefry2x32(%i, %i, %i, %i) gives the published words', (key0, key1, counter0, counter1, words) => {
    expect(hex(threefry2x32(key0, key1, counter0, counter1))).toBe(words);
  });

  it('threefry2x32 takes its words modulo 2³², signed or not', () => {
    expect(threefry2x32(-1, -1, -1, -1)).toEqual(threefry2x32(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff));
  });
});

describe('foldSeed(seed, ...parts)', () => {
  it('foldSeed(seed, …) is a safe integer, the same every time', () => {
    expect(foldSeed(1, 'dropout', 3)).toBe(foldSeed(1, 'dropout', 3));
    for (let i = 0; i < 1000; i++) expect(Number.isSafeInteger(foldSeed(i, i)) && foldSeed(i, i) >= 0).toBe(true);
  });

  it('foldSeed(seed) without parts is the seed, and parts fold one by one', () => {
    expect(foldSeed(5)).toBe(5);
    expect(foldSeed(5, 'a', 2)).toBe(foldSeed(foldSeed(5, 'a'), 2));
  });

  it('foldSeed(seed, …) differs for different seeds, parts, orders and kinds of part', () => {
    const parts: (number | string)[][] = [['a'], ['b'], ['a', 'b'], ['b', 'a'], ['ab'], [0], [1], ['0'], ['1'], [97], [2 ** 32], [2 ** 33], ['']];
    const seeds = [0, 1, 2, 2 ** 32, 2 ** 53 - 1];
    const folded = seeds.flatMap((seed) => parts.map((part) => foldSeed(seed, ...part)));
    expect(new Set(folded).size).toBe(folded.length);
  });

  it('foldSeed(seed, step) makes independent streams: no word is shared by the first thousand', () => {
    const words = Array.from({ length: 1000 }, (_, step) => randomBits(foldSeed(1, step), 1)[0]);
    expect(new Set(words).size).toBeGreaterThan(998);
  });

  it('foldSeed(seed, …) refuses what is not a seed', () => {
    for (const wrong of [-1, 0.5, NaN, 2 ** 53, Infinity]) {
      expect(() => foldSeed(1, wrong)).toThrow(ConfigError);
      expect(() => randomBits(wrong, 1)).toThrow(`seedKey: seed must be a safe integer ≥ 0, got ${wrong}`);
    }
  });
});

describe('seedKey, randomBits', () => {
  it('seedKey(seed) splits a seed into its low and high word', () => {
    expect(seedKey(0x1fffff * 2 ** 32 + 7)).toEqual([7, 0x1fffff]);
    expect(seedKey(0xffffffff)).toEqual([0xffffffff, 0]);
  });

  it('randomBits(seed, n) is word i & 1 of block i >> 1, so a longer draw begins with a shorter one', () => {
    const bits = randomBits(42, 130);
    const [key0, key1] = seedKey(42);
    expect([...bits.subarray(64, 66)]).toEqual(threefry2x32(key0, key1, 32, 0));
    expect([...randomBits(42, 65)]).toEqual([...bits.subarray(0, 65)]);
    expect(randomBits(42, 0)).toHaveLength(0);
  });

  it('randomBits(seed, n) has each bit set half the time', () => {
    const bits = randomBits(3, 20_000);
    for (let bit = 0; bit < 32; bit++) {
      const share = bits.reduce((total, word) => total + ((word >>> bit) & 1), 0) / bits.length;
      expect(Math.abs(share - 0.5)).toBeLessThan(0.018); // five standard deviations
    }
  });
});

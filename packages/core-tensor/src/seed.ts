import { ConfigError } from './errors.ts';
import { currentNumber, derived, type StepNumber } from './step.ts';

/**
 * Seed — a safe integer ≥ 0; within a captured step a StepNumber that is one. All randomness of a run derives from one seed by
 * `foldSeed`; nothing draws from a hidden stream.
 */
export type Seed = number | StepNumber;

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const PARITY = 0x1bd11bda;

/**
 * threefry2x32 — the counter-based generator Threefry-2x32 with 20 rounds: a block cipher of the counter under the key.
 *
 * Only 32-bit additions, rotations and exclusive-ors, so a kernel on any backend computes the same bits.
 * @returns two unsigned 32-bit words.
 * Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
 */
export function threefry2x32(key0: number, key1: number, counter0: number, counter1: number): [number, number] {
  const keys = [key0 | 0, key1 | 0, (PARITY ^ key0 ^ key1) | 0];
  let x0 = (counter0 + key0) | 0;
  let x1 = (counter1 + key1) | 0;
  for (let group = 0; group < 5; group++) {
    for (let round = 0; round < 4; round++) {
      const rotation = ROTATIONS[(group % 2) * 4 + round] as number;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << rotation) | (x1 >>> (32 - rotation))) ^ x0;
    }
    x0 = (x0 + (keys[(group + 1) % 3] as number)) | 0;
    x1 = (x1 + (keys[(group + 2) % 3] as number) + group + 1) | 0;
  }
  return [x0 >>> 0, x1 >>> 0];
}

/** seedKey — the two 32-bit words of a seed: what kernels take as the key of `threefry2x32`. */
export function seedKey(seed: number): [key0: number, key1: number];
export function seedKey(seed: Seed): [key0: number | StepNumber, key1: number | StepNumber];
export function seedKey(seed: Seed): [key0: number | StepNumber, key1: number | StepNumber] {
  checkSeed('seedKey', seed);
  return [derived([seed], () => currentNumber(seed) >>> 0), derived([seed], () => Math.floor(currentNumber(seed) / 2 ** 32) >>> 0)];
}

/**
 * foldSeed — a new seed that depends on `seed` and on every part: `foldSeed(seed, 'dropout', layer, step)`.
 *
 * @throws ConfigError  if a part is neither a string nor a safe integer ≥ 0.
 */
export function foldSeed(seed: number, ...parts: readonly (number | string)[]): number;
export function foldSeed(seed: Seed, ...parts: readonly (number | StepNumber | string)[]): Seed;
export function foldSeed(seed: Seed, ...parts: readonly (number | StepNumber | string)[]): Seed {
  return derived([seed, ...parts], () => folded(currentNumber(seed), parts.map((part) => (typeof part === 'string' ? part : currentNumber(part)))));
}

function folded(seed: number, parts: readonly (number | string)[]): number {
  return parts.reduce<number>((previous, part) => {
    const value = typeof part === 'string' ? hashString(part) : part;
    checkSeed('foldSeed', value);
    // Strings and numbers live in different halves of the counter space: foldSeed(s, 'a') never equals foldSeed(s, 97).
    const [low, high] = threefry2x32(...seedKey(previous), value >>> 0, (Math.floor(value / 2 ** 32) << 1) | (typeof part === 'string' ? 1 : 0));
    return (high & 0x1fffff) * 2 ** 32 + low;
  }, seed);
}

/** randomBits — `count` words of 32 random bits: word i is word i & 1 of the block with counter i >> 1. */
export function randomBits(seed: Seed, count: number): Uint32Array {
  const [key0, key1] = seedKey(Number(seed));
  const bits = new Uint32Array(count);
  for (let i = 0; i < count; i += 2) {
    const [first, second] = threefry2x32(key0, key1, i >>> 1, 0);
    bits[i] = first;
    if (i + 1 < count) bits[i + 1] = second;
  }
  return bits;
}

function checkSeed(fn: string, given: Seed): void {
  const seed = currentNumber(given);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new ConfigError(`${fn}: seed must be a safe integer ≥ 0, got ${String(seed)}`);
}

/** FNV-1a over UTF-16 code units. */
function hashString(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

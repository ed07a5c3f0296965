import { join } from 'node:path';
import { ConfigError } from '@evenkeel/core-tensor';
import { openTokens, randomBatches, sequentialBatches, splitTokens, writeTokens, type Batch } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { directoryWith } from './helpers.ts';

const counting = (length: number): Int32Array => Int32Array.from({ length }, (_, i) => i);
const rows = ({ inputs, shape: [B, T] }: Batch): number[][] => Array.from({ length: B }, (_, row) => [...inputs.subarray(row * T, (row + 1) * T)]);

describe('randomBatches', () => {
  it('batch(step) gives rows of consecutive tokens, with the next token as target', () => {
    const { batch } = randomBatches(counting(1000), { contextLength: 5, batchSize: 3, seed: 1 });
    const { inputs, targets, shape } = batch(0);
    expect(shape).toEqual([3, 5]);
    expect(inputs.length).toBe(15);
    expect([...targets]).toEqual(Array.from(inputs, (token) => token + 1));
    for (const row of rows(batch(0))) expect(row).toEqual(counting(5).reduce<number[]>((all, i) => [...all, (row[0] as number) + i], []));
  });

  it('batch(step) depends on seed and step only, not on the order of calls', () => {
    const make = (seed: number) => randomBatches(counting(5000), { contextLength: 8, batchSize: 4, seed });
    const first = make(7);
    const inOrder = [0, 1, 2, 3].map((step) => first.batch(step));
    expect(make(7).batch(3)).toEqual(inOrder[3]);
    expect(first.batch(1)).toEqual(inOrder[1]);
    expect(new Set(inOrder.map(({ inputs }) => inputs.join())).size).toBe(4);
    expect(make(8).batch(0)).not.toEqual(inOrder[0]);
  });

  it('batch(step) reaches every place, each about as often', () => {
    const { batch } = randomBatches(counting(11), { contextLength: 1, batchSize: 100, seed: 3 });
    const counts = new Array<number>(10).fill(0);
    for (let step = 0; step < 100; step++) for (const token of batch(step).inputs) counts[token] = (counts[token] ?? 0) + 1;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150); // five standard deviations
  });

  it('batch(step) is the same from an array, a typed array, a file and a split', async () => {
    const path = join(directoryWith(), 'x.tokens');
    const ids = counting(300);
    await writeTokens(path, ids, { vocabSize: 300 });
    const file = await openTokens(path, { memoryBytes: 0 });
    const options = { contextLength: 7, batchSize: 2, seed: 5 };
    const expected = randomBatches(ids, options).batch(9);
    for (const tokens of [[...ids], Uint16Array.from(ids), file, splitTokens(ids, 0).train]) expect(randomBatches(tokens, options).batch(9)).toEqual(expected);
    file.close();
  });

  it('randomBatches of exactly contextLength + 1 tokens works; of fewer it says how many there are and are needed', () => {
    expect([...randomBatches(counting(6), { contextLength: 5, batchSize: 1, seed: 0 }).batch(0).targets]).toEqual([1, 2, 3, 4, 5]);
    expect(() => randomBatches(counting(5), { contextLength: 5, batchSize: 1, seed: 0 })).toThrow(
      new ConfigError('randomBatches: tokens must be at least 6 for a context of 5, got 5. Use more text or a shorter context.'),
    );
  });

  it('randomBatches of bad options throws ConfigError', () => {
    const options = { contextLength: 5, batchSize: 1, seed: 0 };
    expect(() => randomBatches(counting(9), { ...options, contextLength: 0 })).toThrow('contextLength must be an integer ≥ 1, got 0');
    expect(() => randomBatches(counting(9), { ...options, batchSize: 1.5 })).toThrow('batchSize must be an integer ≥ 1, got 1.5');
    expect(() => randomBatches(counting(9), { ...options, seed: -1 })).toThrow('seed must be an integer ≥ 0, got -1');
    expect(() => randomBatches(counting(9), options).batch(-1)).toThrow('step must be an integer ≥ 0, got -1');
  });
});

describe('sequentialBatches', () => {
  it('sequentialBatches covers every target exactly once, in order, for odd lengths, contexts and batch sizes', () => {
    for (const length of [2, 3, 65, 130, 131]) {
      for (const contextLength of [1, 3, 64, 65, 200]) {
        for (const batchSize of [1, 3, 50]) {
          const batches = sequentialBatches(counting(length), { contextLength, batchSize });
          const all = [...batches];
          expect(all.length).toBe(batches.length);
          expect(all.flatMap(({ targets }) => [...targets])).toEqual([...counting(length)].slice(1));
          expect(all.flatMap(({ inputs }) => [...inputs])).toEqual([...counting(length)].slice(0, -1));
          for (const { inputs, shape: [B, T] } of all) expect([inputs.length, B <= batchSize, T <= contextLength]).toEqual([B * T, true, true]);
        }
      }
    }
  });

  it('sequentialBatches gives full batches, then the full rows that are left, then one short row', () => {
    const batches = sequentialBatches(counting(1 + 3 * 4 * 2 + 4 * 2 + 3), { contextLength: 4, batchSize: 3 });
    expect([...batches].map(({ shape }) => shape)).toEqual([[3, 4], [3, 4], [2, 4], [1, 3]]);
    expect(batches.batch(3)).toEqual([...batches][3]);
    expect(() => batches.batch(4)).toThrow('batch: index must be below 4, got 4');
  });

  it('sequentialBatches of fewer than 2 tokens throws ConfigError', () => {
    expect(() => sequentialBatches([1], { contextLength: 4, batchSize: 1 })).toThrow('sequentialBatches: tokens must be at least 2, a token and the one that follows, got 1');
    expect(() => sequentialBatches([1, 2], { contextLength: 0, batchSize: 1 })).toThrow(ConfigError);
  });
});

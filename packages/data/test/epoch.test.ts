import { ConfigError } from '@evenkeel/core-tensor';
import { epochBatches, oneEpochSampler, randomBatches, type Batch } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';

const counting = (length: number): Int32Array => Int32Array.from({ length }, (_, i) => i);
const starts = (batches: Iterable<Batch>): number[] => [...batches].flatMap(({ inputs, shape: [B, T] }) => Array.from({ length: B }, (_, row) => inputs[row * T]!));
const ascending = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b);

describe('oneEpochSampler', () => {
  it('indices(step) over an epoch are all examples, each once, except for a last partial batch', () => {
    for (const count of [1, 2, 3, 65, 130, 1000]) {
      for (const batchSize of [1, 3, 7, 64]) {
        if (batchSize > count) continue;
        const { length, indices } = oneEpochSampler({ count, batchSize, seed: 5 });
        expect(length).toBe(Math.floor(count / batchSize));
        const seen = Array.from({ length }, (_, step) => [...indices(step)]).flat();
        expect(new Set(seen).size).toBe(length * batchSize);
        expect(Math.max(...seen)).toBeLessThan(count);
        if (count % batchSize === 0) expect(ascending(seen)).toEqual([...counting(count)]);
      }
    }
  });

  it('indices(step) depend on seed and step alone, so that a resumed run sees the rest of the same order', () => {
    const options = { count: 100, batchSize: 10, seed: 7, allowRepeat: true };
    const whole = Array.from({ length: 25 }, (_, step) => oneEpochSampler(options).indices(step));
    const resumed = oneEpochSampler(options);
    for (let step = 13; step < 25; step++) expect(resumed.indices(step)).toEqual(whole[step]);
    expect(resumed.indices(2)).toEqual(whole[2]); // and backwards
    expect(oneEpochSampler({ ...options, seed: 8 }).indices(0)).not.toEqual(whole[0]);
  });

  it('indices(step) put every example at every place about as often', () => {
    const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
    for (let seed = 0; seed < 2000; seed++) {
      const { indices } = oneEpochSampler({ count: 5, batchSize: 1, seed });
      counts.forEach((row, step) => { row[indices(step)[0]!]! += 1; });
    }
    for (const count of counts.flat()) expect(Math.abs(count - 400)).toBeLessThan(90); // five standard deviations
  });

  it('with allowRepeat every epoch has all examples, in another order', () => {
    const { length, indices } = oneEpochSampler({ count: 60, batchSize: 6, seed: 1, allowRepeat: true });
    const epochs = [0, 1, 2].map((epoch) => Array.from({ length }, (_, i) => [...indices(epoch * length + i)]).flat());
    for (const epoch of epochs) expect(ascending(epoch)).toEqual([...counting(60)]);
    expect(new Set(epochs.map((epoch) => epoch.join())).size).toBe(3);
  });

  it('more steps than an epoch has are an error, at once where they are announced, unless allowRepeat', () => {
    const options = { count: 103, batchSize: 10, seed: 1 };
    expect(oneEpochSampler({ ...options, steps: 10 }).length).toBe(10);
    expect(() => oneEpochSampler({ ...options, steps: 11 })).toThrow(
      new ConfigError('oneEpochSampler: steps must be at most 10, which see each of 103 examples once, got 11. Use more data or fewer steps, or set allowRepeat.'));
    expect(() => oneEpochSampler(options).indices(10)).toThrow(
      new ConfigError('indices: step must be below 10, the steps of one epoch, got 10. Use more data or fewer steps, or set allowRepeat.'));
    expect(oneEpochSampler({ ...options, steps: 11, allowRepeat: true }).indices(10)).toHaveLength(10);
  });

  it('epochsAfter(steps) is exactly 1 at the end of the first epoch', () => {
    const { length, epochsAfter } = oneEpochSampler({ count: 103, batchSize: 10, seed: 1 });
    expect([0, 5, length, 3 * length].map(epochsAfter)).toEqual([0, 0.5, 1, 3]);
  });

  it('oneEpochSampler of bad options throws ConfigError', () => {
    const options = { count: 9, batchSize: 3, seed: 0 };
    for (const [given, message] of [
      [{ count: 0 }, 'oneEpochSampler: count must be an integer ≥ 1, got 0'], [{ batchSize: 0 }, 'oneEpochSampler: batchSize must be an integer ≥ 1, got 0'],
      [{ seed: -1 }, 'oneEpochSampler: seed must be an integer ≥ 0, got -1'], [{ steps: 0 }, 'oneEpochSampler: steps must be an integer ≥ 1, got 0'],
      [{ batchSize: 10 }, 'oneEpochSampler: examples must be at least the 10 of a batch, got 9'],
    ] as const) expect(() => oneEpochSampler({ ...options, ...given })).toThrow(new ConfigError(message));
    expect(() => oneEpochSampler(options).indices(-1)).toThrow('indices: step must be an integer ≥ 0, got -1');
  });
});

describe('epochBatches', () => {
  it('an epoch is the windows of the corpus, none of them twice: every target is one once', () => {
    for (const [length, contextLength, batchSize] of [[131, 5, 1], [131, 1, 10], [66, 65, 1], [400, 7, 3], [1001, 10, 4]] as const) {
      const batches = epochBatches(counting(length), { contextLength, batchSize, seed: 3 });
      const all = [...batches];
      expect(all).toHaveLength(batches.length);
      const targets = all.flatMap((each) => [...each.targets]);
      expect(all.flatMap(({ inputs }) => [...inputs])).toEqual(targets.map((token) => token - 1));
      expect(new Set(targets).size).toBe(targets.length);
      const places = ascending(starts(all));
      const offset = places[0]! % contextLength;
      expect(places.every((place) => place % contextLength === offset)).toBe(true);
      expect(batches.windows).toBe(Math.floor((length - 1) / contextLength));
      if (batchSize === 1) expect(places).toEqual(Array.from({ length: batches.windows }, (_, i) => offset + i * contextLength));
    }
  });

  it('the windows are cut at a random place of what is left over', () => {
    const offsets = new Set(Array.from({ length: 200 }, (_, seed) => Math.min(...starts(epochBatches(counting(1 + 4 * 10 + 3), { contextLength: 10, batchSize: 1, seed })))));
    expect(ascending(offsets)).toEqual([0, 1, 2, 3]);
  });

  it('batch(step) depends on seed and step alone', () => {
    const options = { contextLength: 8, batchSize: 4, seed: 2, allowRepeat: true };
    const make = () => epochBatches(counting(1000), options);
    const whole = make();
    const inOrder = Array.from({ length: 70 }, (_, step) => whole.batch(step));
    const resumed = make();
    for (const step of [40, 41, 69, 3]) expect(resumed.batch(step)).toEqual(inOrder[step]);
    expect(inOrder.slice(0, 31)).toEqual([...make()]);
    expect(whole.batch(0).shape).toEqual([4, 8]);
  });

  it('after one epoch all text was seen, where random batches have missed about 37 %', () => {
    const options = { contextLength: 10, batchSize: 5, seed: 1 };
    const batches = epochBatches(counting(10_001), options);
    const random = randomBatches(counting(10_001), options);
    const seen = (batchOf: (step: number) => Batch): number => new Set(Array.from({ length: batches.length }, (_, step) => [...batchOf(step).targets]).flat()).size;
    expect(seen(batches.batch)).toBe(10_000);
    expect(batches.epochsAfter(batches.length)).toBe(1);
    expect(seen(random.batch) / 10_000).toBeCloseTo(1 - Math.exp(-1), 1);
  });

  it('too little text is an error that says how much it takes, before the first step where steps are announced', () => {
    const options = { contextLength: 10, batchSize: 4, seed: 0 };
    expect(epochBatches(counting(41), options).length).toBe(1);
    expect(() => epochBatches(counting(40), options)).toThrow(
      new ConfigError('epochBatches: tokens must be at least 41 for a batch of 4 windows of 10, got 40. Use more text, or a shorter context.'));
    expect(() => epochBatches(counting(500), { ...options, steps: 13 })).toThrow(
      new ConfigError('epochBatches: steps must be at most 12, which see each of 49 windows once, got 13. Use more data or fewer steps, or set allowRepeat.'));
    expect(() => epochBatches(counting(500), options).batch(12)).toThrow('step must be below 12, the steps of one epoch, got 12');
    expect(() => epochBatches(counting(500), { ...options, contextLength: 0 })).toThrow('epochBatches: contextLength must be an integer ≥ 1, got 0');
    expect(() => epochBatches([], options)).toThrow('got 0');
  });
});

it('randomBatches({ batchSize }) may be a schedule, which decides the rows of each step', () => {
  const { batch } = randomBatches(counting(500), { contextLength: 5, batchSize: (step) => (step < 2 ? 3 : 6), seed: 1 });
  expect([0, 1, 2, 9].map((step) => batch(step).shape)).toEqual([[3, 5], [3, 5], [6, 5], [6, 5]]);
  expect(batch(1)).toEqual(randomBatches(counting(500), { contextLength: 5, batchSize: 3, seed: 1 }).batch(1));
  expect(() => randomBatches(counting(500), { contextLength: 5, batchSize: () => 0.5, seed: 1 }).batch(0)).toThrow('batch: batchSize must be an integer ≥ 1, got 0.5');
});

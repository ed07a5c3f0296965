import { ConfigError, checkInteger, foldSeed, randomBits } from '@evenkeel/core-tensor';
import { samplerOf, type OneEpochOptions } from './oneEpochSampler.ts';
import type { Batch, BatchOptions } from './randomBatches.ts';
import { tokenSource, type Tokens } from './tokenSource.ts';

export type EpochOptions = BatchOptions & Pick<OneEpochOptions, 'seed' | 'steps' | 'allowRepeat'>;

/** EpochBatches — `length` batches make an epoch; by step, or one epoch in a `for … of` loop. */
export type EpochBatches = Iterable<Batch> & {
  readonly length: number;
  /** Windows of the corpus that an epoch could see; the last `windows mod batchSize` of its order are dropped. */
  readonly windows: number;
  /** The batch of a step, counted from 0: a function of seed and step alone. */
  batch(step: number): Batch;
  /** Tokens seen after `steps` steps over those of an epoch: 1 exactly at its end. */
  epochsAfter(steps: number): number;
};

/**
 * epochBatches — every window of the tokens exactly once, in random order: for training in one epoch, where each batch is new text and its
 * loss before the update an unbiased estimate of the test loss.
 *
 * Windows do not overlap: every target is one once. The tokens that are left over, fewer than a window, lie partly before the first window
 * and partly behind the last one, cut at random. That is unlike `randomBatches`, which in the same number of steps sees some text several
 * times and misses about 37 %. Repeated documents make several epochs of one: remove them before.
 *
 * @param tokens   at least `batchSize · contextLength + 1` of them.
 * @param options  `seed`: a safe integer ≥ 0; `steps`: how many will be asked for, so that too little text is an error at once;
 *                 `allowRepeat` (default false): go on with another epoch, in another order and with windows cut anew.
 * @throws ConfigError  if there are too few tokens, or a step beyond the first epoch is asked for without `allowRepeat`.
 *
 * Source: Komatsuzaki 2019, arXiv:1906.06669.
 */
export function epochBatches(tokens: Tokens, { contextLength, batchSize, seed, steps, allowRepeat }: EpochOptions): EpochBatches {
  checkInteger('epochBatches', 'contextLength', contextLength);
  checkInteger('epochBatches', 'batchSize', batchSize);
  const source = tokenSource(tokens);
  const targets = Math.max(0, source.length - 1);
  const windows = Math.floor(targets / contextLength);
  if (windows < batchSize) {
    throw new ConfigError(`epochBatches: tokens must be at least ${batchSize * contextLength + 1} for a batch of ${batchSize} windows of ${contextLength}, got ${source.length}. Use more text, or a shorter context.`);
  }
  const sampler = samplerOf('epochBatches', 'windows', { count: windows, batchSize, seed, steps, allowRepeat });
  const offsetOf = (epoch: number): number => {
    const [bits = 0] = randomBits(foldSeed(seed, 'offset', epoch), 1);
    return Math.floor((bits / 2 ** 32) * ((targets % contextLength) + 1));
  };
  const batch = (step: number): Batch => {
    const chosen = sampler.indices(step);
    const offset = offsetOf(Math.floor(step / sampler.length));
    const window = new Int32Array(contextLength + 1);
    const inputs = new Int32Array(batchSize * contextLength);
    const next = new Int32Array(batchSize * contextLength);
    chosen.forEach((index, row) => {
      source.read(offset + index * contextLength, window);
      inputs.set(window.subarray(0, contextLength), row * contextLength);
      next.set(window.subarray(1), row * contextLength);
    });
    return { inputs, targets: next, shape: [batchSize, contextLength] };
  };
  return {
    length: sampler.length,
    windows,
    batch,
    epochsAfter: sampler.epochsAfter,
    *[Symbol.iterator]() {
      for (let step = 0; step < sampler.length; step++) yield batch(step);
    },
  };
}

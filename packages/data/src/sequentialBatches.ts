import { ConfigError, checkInteger } from '@evenkeel/core-tensor';
import type { Batch, BatchOptions } from './randomBatches.ts';
import { tokenSource, type Tokens } from './tokenSource.ts';

/** SequentialBatches — `length` batches in order, by index or in a `for … of` loop. */
export type SequentialBatches = Iterable<Batch> & { readonly length: number; batch(index: number): Batch };

/**
 * sequentialBatches — the tokens from first to last in windows that do not overlap: every token but the first is a target once.
 *
 * The batches are `[batchSize, contextLength]`, then one with the full rows that are left, then one of a single shorter row. A mean
 * over all tokens weighs each batch by its number of targets.
 *
 * @param tokens  at least 2; fewer than the context make one short row.
 * @throws ConfigError  if there are fewer than 2 tokens.
 */
export function sequentialBatches(tokens: Tokens, { contextLength, batchSize }: BatchOptions): SequentialBatches {
  checkInteger('sequentialBatches', 'contextLength', contextLength);
  checkInteger('sequentialBatches', 'batchSize', batchSize);
  const source = tokenSource(tokens);
  if (source.length < 2) throw new ConfigError(`sequentialBatches: tokens must be at least 2, a token and the one that follows, got ${source.length}`);
  const targets = source.length - 1;
  const fullRows = Math.floor(targets / contextLength);
  const fullBatches = Math.ceil(fullRows / batchSize);
  const length = fullBatches + (targets % contextLength > 0 ? 1 : 0);
  const batch = (index: number): Batch => {
    checkInteger('batch', 'index', index, 0);
    if (index >= length) throw new ConfigError(`batch: index must be below ${length}, got ${index}`);
    const isShort = index === fullBatches;
    const firstRow = isShort ? fullRows : index * batchSize;
    const rows = isShort ? 1 : Math.min(batchSize, fullRows - firstRow);
    const rowLength = isShort ? targets % contextLength : contextLength;
    const window = new Int32Array(rows * rowLength + 1);
    source.read(firstRow * contextLength, window);
    return { inputs: window.slice(0, -1), targets: window.slice(1), shape: [rows, rowLength] };
  };
  return {
    length,
    batch,
    *[Symbol.iterator]() {
      for (let index = 0; index < length; index++) yield batch(index);
    },
  };
}

import { tensor1d, tensor2d } from '@tensorflow/tfjs-core';
import { checkInteger, ConfigError, ShapeError } from '@evenkeel/core-tensor';
import type { BertInputs } from './bert.ts';
import type { PaddedBatch, UnpaddedBatch } from './unpad.ts';

/** TokenSequence — the tokens of one sequence, special ones included; its segments, default all 0. */
export type TokenSequence = { readonly ids: ArrayLike<number>; readonly tokenTypes?: ArrayLike<number> };

/**
 * padBatch — sequences of different lengths as one batch: padded to the longest of them, or to `length`.
 *
 * @throws ConfigError  if there are no sequences, or none has tokens.
 * @throws ShapeError   if one is longer than `length`.
 */
export function padBatch(sequences: readonly TokenSequence[], { padId = 0, length }: { padId?: number; length?: number } = {}): PaddedBatch & { readonly tokenTypes: Int32Array } {
  const longest = Math.max(0, ...sequences.map(({ ids }) => ids.length));
  if (longest === 0) throw new ConfigError(`padBatch: sequences must hold tokens, got ${sequences.length} without`);
  const columns = length ?? longest;
  checkInteger('padBatch', 'length', columns);
  const tooLong = sequences.findIndex(({ ids }) => ids.length > columns);
  if (tooLong >= 0) throw new ShapeError(`padBatch: sequences must be at most ${columns} tokens long, got ${sequences[tooLong]?.ids.length} in sequence ${tooLong}`);
  const [ids, mask, tokenTypes] = [new Int32Array(sequences.length * columns).fill(padId), new Int32Array(sequences.length * columns), new Int32Array(sequences.length * columns)];
  sequences.forEach((sequence, row) => {
    ids.set(sequence.ids, row * columns);
    tokenTypes.set(sequence.tokenTypes ?? [], row * columns);
    mask.fill(1, row * columns, row * columns + sequence.ids.length);
  });
  return { ids, mask, tokenTypes, shape: [sequences.length, columns] };
}

/** bertInputs — a batch as tensors, which are the caller's: of `padBatch`, or of `unpadBatch`. */
export function bertInputs(batch: PaddedBatch | UnpaddedBatch): BertInputs {
  if ('cuSeqlens' in batch) {
    const flat = (values: Int32Array) => tensor1d(values, 'int32');
    return { ids: flat(batch.ids), cuSeqlens: batch.cuSeqlens, ...(batch.tokenTypes && { tokenTypes: flat(batch.tokenTypes) }) };
  }
  const rows = (values: Int32Array) => tensor2d(values, [...batch.shape], 'int32');
  return { ids: rows(batch.ids), mask: rows(batch.mask), ...(batch.tokenTypes && { tokenTypes: rows(batch.tokenTypes) }) };
}

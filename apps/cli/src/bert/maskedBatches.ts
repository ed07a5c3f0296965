import { tensor1d, tensor2d } from '@tensorflow/tfjs-core';
import { foldSeed } from '@evenkeel/core-tensor';
import { bertInputs, maskTokens, padBatch, unpadBatch, type MaskedLmBatch } from '@evenkeel/models-bert';
import { UsageError } from '../errors.ts';
import type { SequenceData } from './sequences.ts';

export type MaskOptions = Pick<SequenceData, 'specials'> & {
  readonly vocabSize: number;
  /** Share of the tokens that are masked. */
  readonly prob: number;
  readonly seed: number;
  /** `unpadded`: without padding; `padded`: to the longest; a number: to so many tokens, and labels for all of them, so that all batches have one shape. */
  readonly form: 'unpadded' | 'padded' | number;
};

/** Masked — a batch to train on, whose tensors are the caller's; how many of its tokens are masked, and which they are. */
export type Masked = { readonly batch: MaskedLmBatch; readonly count: number; readonly rows: Int32Array; readonly labels: Int32Array };

/** maskedBatch — sequences with some of their tokens masked: at least one. */
export function maskedBatch(sequences: readonly Int32Array[], { specials: { clsId, sepId, padId, maskId }, vocabSize, prob, seed, form }: MaskOptions): Masked {
  const padded = padBatch(sequences.map((ids) => ({ ids })), { padId, ...(typeof form === 'number' && { length: form }) });
  const plain = form === 'unpadded' ? unpadBatch(padded) : padded;
  const specials = [clsId, sepId, padId];
  if (plain.ids.every((id) => specials.includes(id))) throw new UsageError('--data must hold tokens that can be masked in each batch, got special tokens alone');
  let masked = maskTokens(plain.ids, { prob, maskId, vocabSize, specials, seed });
  for (let again = 1; masked.rows.length === 0; again++) masked = maskTokens(plain.ids, { prob, maskId, vocabSize, specials, seed: foldSeed(seed, again) });
  const { rows, labels } = masked;
  const { tokenTypes: _, ...inputs } = bertInputs({ ...plain, ids: masked.ids, tokenTypes: undefined } as typeof plain);
  const targets = typeof form === 'number' ? { labels: tensor2d(labels, [sequences.length, form], 'int32') }
    : { rows: tensor1d(rows, 'int32'), labels: tensor1d(rows.map((row) => labels[row] as number), 'int32') };
  return { batch: { ...inputs, ...targets }, count: rows.length, rows, labels };
}

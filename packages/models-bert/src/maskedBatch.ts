import { tensor1d, tensor2d } from '@tensorflow/tfjs-core';
import { ConfigError, foldSeed } from '@evenkeel/core-tensor';
import type { MaskedLmBatch } from './maskedLmHead.ts';
import { maskTokens, type MaskedTokens, type MaskTokensOptions } from './maskTokens.ts';
import { bertInputs, padBatch } from './padBatch.ts';
import { unpadBatch } from './unpad.ts';

export type MaskedBatchOptions = MaskTokensOptions & {
  padId: number;
  /** Padded to so many tokens; default to the longest sequence. */
  length?: number;
  /** Without padding. Default false. */
  unpadded?: boolean;
  /** Labels of all tokens instead of `rows` and the labels of these: then batches of one `length` have one shape, which a recorded step wants. Default false. */
  everyLabel?: boolean;
};

/** MaskedBatch — a batch to train on, whose tensors are the caller's; which of its tokens are to be told, and the labels of all. */
export type MaskedBatch = { readonly batch: MaskedLmBatch } & Pick<MaskedTokens, 'rows' | 'labels'>;

/**
 * maskedBatch — sequences with some of their tokens masked, as tensors: at least one token, so that there is a loss.
 *
 * @throws ConfigError  if there are special tokens alone; or as `maskTokens`.
 */
export function maskedBatch(sequences: readonly Int32Array[], { padId, length, unpadded = false, everyLabel = false, ...masking }: MaskedBatchOptions): MaskedBatch {
  const padded = padBatch(sequences.map((ids) => ({ ids })), { padId, ...(length !== undefined && { length }) });
  const { tokenTypes: _, ...plain } = unpadded ? unpadBatch(padded) : padded;
  if (plain.ids.every((id) => masking.specials.includes(id))) throw new ConfigError('maskedBatch: sequences must hold tokens that can be masked, got special tokens alone');
  let masked = maskTokens(plain.ids, masking);
  for (let again = 1; masked.rows.length === 0; again++) masked = maskTokens(plain.ids, { ...masking, seed: foldSeed(masking.seed, again) });
  const { ids, rows, labels } = masked;
  const targets = everyLabel ? { labels: unpadded ? tensor1d(labels, 'int32') : tensor2d(labels, [...padded.shape], 'int32') }
    : { rows: tensor1d(rows, 'int32'), labels: tensor1d(rows.map((row) => labels[row] as number), 'int32') };
  return { batch: { ...bertInputs({ ...plain, ids }), ...targets }, rows, labels };
}

import { argMax, tensor1d, tensor2d, tidy, type Tensor, type TensorContainer } from '@tensorflow/tfjs-core';
import { checkInteger, ConfigError } from '@evenkeel/core-tensor';
import type { BertInputs } from './bert.ts';
import type { BertWithHead, HeadedParams } from './bertWithHead.ts';
import type { LabelledBatch } from './classificationHeads.ts';
import { IGNORED } from './maskTokens.ts';
import { bertInputs, padBatch, type TokenSequence } from './padBatch.ts';

/** LabelledSequence — the tokens of a sequence, and its class or number, or one class per token (−100 where none counts). */
export type LabelledSequence = TokenSequence & { readonly label: number | ArrayLike<number> };

/**
 * labelledBatch — sequences with classes as a padded batch of tensors, which are the caller's: for `classificationHead`, or, with a class per
 * token, for `tokenClassificationHead`; or with numbers, for `regressionHead`.
 *
 * @param options  `padId` of the padding; `dtype` of the labels: `float32` for numbers, default `int32`.
 *
 * @throws ConfigError  if a sequence has not as many classes as tokens, or only some have one per token.
 */
export function labelledBatch(sequences: readonly LabelledSequence[], { dtype = 'int32', ...options }: { padId?: number; dtype?: 'int32' | 'float32' } = {}): LabelledBatch {
  const batch = padBatch(sequences, options);
  const labels = sequences.map(({ label }) => label);
  if (labels.every((label) => typeof label === 'number')) return { ...bertInputs(batch), labels: tensor1d(labels, dtype) };
  const padded = new Int32Array(batch.ids.length).fill(IGNORED);
  sequences.forEach(({ ids, label }, row) => {
    const found = typeof label === 'number' ? 'one for the sequence' : label.length;
    if (found !== ids.length) throw new ConfigError(`labelledBatch: label must be ${ids.length} classes, one per token, in sequence ${row}, got ${found}`);
    padded.set(label as ArrayLike<number>, row * batch.shape[1]);
  });
  return { ...bertInputs(batch), labels: tensor2d(padded, [...batch.shape], 'int32') };
}

/** predictClasses — the class with the largest logit of each sequence, by a model with `classificationHead`. Borrows everything. */
export async function predictClasses(
  model: Pick<BertWithHead<Tensor, LabelledBatch>, 'apply'>, params: HeadedParams, sequences: readonly TokenSequence[], { batchSize = 64, padId }: { batchSize?: number; padId?: number } = {},
): Promise<Int32Array> {
  checkInteger('predictClasses', 'batchSize', batchSize);
  const classes = new Int32Array(sequences.length);
  for (let first = 0; first < sequences.length; first += batchSize) {
    const best = withInputs(sequences.slice(first, first + batchSize), padId, (inputs) => argMax(model.apply(inputs, params), -1));
    classes.set(await best.data() as Int32Array, first);
    best.dispose();
  }
  return classes;
}

/** withInputs — what `use` makes of a padded batch, which is freed. */
export function withInputs<T extends TensorContainer>(sequences: readonly TokenSequence[], padId: number | undefined, use: (inputs: BertInputs) => T): T {
  return tidy(() => use(bertInputs(padBatch(sequences, { ...(padId !== undefined && { padId }) }))));
}

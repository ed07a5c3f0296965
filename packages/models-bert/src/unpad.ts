import { concat, reshape, tensor1d, tidy, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { checkInteger, ConfigError, describeShape, ShapeError } from '@evenkeel/core-tensor';
import { embedding } from '@evenkeel/layers';

/** PaddedBatch — rows of tokens padded to one length, as plain numbers `b t`, row by row; mask 0 is padding. */
export type PaddedBatch = { readonly ids: Int32Array; readonly mask: Int32Array; readonly shape: readonly [rows: number, length: number]; readonly tokenTypes?: Int32Array };

/** UnpaddedBatch — the tokens that are no padding, one after another; `indices` is where each stood in the padded batch. */
export type UnpaddedBatch = { readonly ids: Int32Array; readonly tokenTypes?: Int32Array; readonly indices: Int32Array; readonly cuSeqlens: readonly number[]; readonly maxSeqlen: number };

/** unpadIndices — which positions of `mask: b t` are no padding, where each sequence begins among them, and how long the longest is. */
export function unpadIndices(mask: ArrayLike<number>, [rows, length]: readonly [number, number]): Pick<UnpaddedBatch, 'indices' | 'cuSeqlens' | 'maxSeqlen'> {
  checkInteger('unpadIndices', 'rows', rows);
  checkInteger('unpadIndices', 'length', length);
  if (mask.length !== rows * length) throw new ShapeError(`unpadIndices: mask must have ${rows * length} numbers, ${rows} × ${length}, got ${mask.length}`);
  const indices: number[] = [];
  const cuSeqlens = [0];
  for (let row = 0; row < rows; row++) {
    for (let i = row * length; i < (row + 1) * length; i++) if (mask[i] !== 0) indices.push(i);
    cuSeqlens.push(indices.length);
  }
  if (indices.length === 0) throw new ConfigError('unpadIndices: mask must leave at least one token, got padding alone');
  const maxSeqlen = Math.max(...cuSeqlens.slice(1).map((end, row) => end - (cuSeqlens[row] as number)));
  return { indices: Int32Array.from(indices), cuSeqlens, maxSeqlen };
}

/** unpadBatch — a batch without its padding: what a model computes of it costs what its tokens cost. */
export function unpadBatch({ ids, mask, shape, tokenTypes }: PaddedBatch): UnpaddedBatch {
  const found = unpadIndices(mask, shape);
  const pick = (values: Int32Array): Int32Array => found.indices.map((index) => values[index] as number);
  return { ids: pick(ids), ...(tokenTypes && { tokenTypes: pick(tokenTypes) }), ...found };
}

/**
 * unpadInput — rows of activations that are no padding.
 *
 * @param x     `b t c`.
 * @param mask  `b t` as plain numbers, 0 = padding.
 * @returns     `tokens: n c`, owned by the caller; `indices`, `cuSeqlens` and `maxSeqlen` as numbers. The gradient puts rows back among zeros.
 */
export function unpadInput(x: Tensor, mask: ArrayLike<number>): { tokens: Tensor } & Pick<UnpaddedBatch, 'indices' | 'cuSeqlens' | 'maxSeqlen'> {
  const [rows, length, dim] = x.shape as [number, number, number];
  if (x.rank !== 3) throw new ShapeError(`unpadInput: x must have rank 3, got shape ${describeShape(x.shape)}`);
  const found = unpadIndices(mask, [rows, length]);
  const tokens = tidy('unpadInput', () => embedding(tensor1d(found.indices, 'int32'), { weight: reshape(x, [rows * length, dim]) }));
  return { tokens, ...found };
}

/**
 * padInput — the way back: `tokens: n c` at their places in `b t c`, and zeros elsewhere. Its gradient takes the rows out again.
 *
 * @throws ShapeError  if there are not as many `indices` as tokens.
 */
export function padInput(tokens: Tensor, indices: ArrayLike<number>, batchSize: number, length: number): Tensor {
  const [count, dim] = tokens.shape as [number, number];
  if (indices.length !== count) throw new ShapeError(`padInput: indices must be as many as the ${count} tokens, got ${indices.length}`);
  const from = new Int32Array(batchSize * length).fill(count); // the row of zeros behind the tokens
  Array.from(indices, (index, row) => { from[index] = row; });
  return tidy('padInput', () => reshape(embedding(tensor1d(from, 'int32'), { weight: concat([tokens, zeros([1, dim])], 0) }), [batchSize, length, dim]));
}

import { checkDivisible, checkDtype, checkInteger, checkRank, ShapeError, splitHeads, type PackedAttentionSizes } from '@evenkeel/core-tensor';
import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { fusedAttentionPacked, fusedAttentionWithLse } from './fusedAttention.ts';
import { resolveOptions, type AttentionWithLse, type FlashAttentionPackedOptions } from './options.ts';

/**
 * flashAttentionPacked — `flashAttention` on the tensor that one projection to queries, keys and values makes, without taking it apart.
 *
 *     q, k, v = split(qkv, [h·d, g·d, g·d])        flashAttention(q, k, v, options)
 *
 * Where the backend has the kernel, q, k and v are read where they lie, and the gradient is written as one tensor.
 *
 * @param qkv      `b t (h+2g)·d` — float32; each row holds the h heads of q, then the g heads of k, then those of v.
 * @param options  `numHeads` = h; `numKvHeads` = g, divides h (default h); the others as `flashAttention`, with s = t.
 * @returns        `b t h d`, or `{ out, lse: b h t }` with `returnLse`; owned by the caller.
 * @throws ShapeError   if rank, dtype or width do not fit.
 * @throws ConfigError  if a number of heads does not fit, or as `flashAttention`.
 *
 * Source: Dao 2023, arXiv:2307.08691; the name follows the official code's `flash_attn_qkvpacked_func`.
 */
export function flashAttentionPacked(qkv: Tensor, options: FlashAttentionPackedOptions & { returnLse?: false }): Tensor;
export function flashAttentionPacked(qkv: Tensor, options: FlashAttentionPackedOptions & { returnLse: true }): AttentionWithLse;
export function flashAttentionPacked(
  qkv: Tensor, { numHeads, numKvHeads = numHeads, returnLse = false, ...options }: FlashAttentionPackedOptions,
): Tensor | AttentionWithLse {
  const headDim = checkPacked(qkv, { numHeads, numKvHeads });
  const [batchSize, seqLen] = qkv.shape as [number, number, number];
  return tidy('flashAttentionPacked', (): Tensor | AttentionWithLse => {
    const { attrs, terms } = resolveOptions('flashAttentionPacked', { batchSize, seqLen, kvLen: seqLen, numHeads, headDim }, options);
    const heads = { numHeads, numKvHeads };
    if (!returnLse) return fusedAttentionPacked({ qkv, ...terms }, { ...attrs, ...heads })[0] as Tensor;
    const [out, lse] = fusedAttentionWithLse({ ...splitHeads(qkv, heads), ...terms }, attrs) as [Tensor, Tensor];
    return { out, lse };
  });
}

/** Checks the tensor and the numbers of heads, and returns the width of a head. */
function checkPacked(qkv: Tensor, { numHeads, numKvHeads }: Required<PackedAttentionSizes>): number {
  checkDtype('flashAttentionPacked', 'qkv', qkv, 'float32');
  checkRank('flashAttentionPacked', 'qkv', qkv, 3);
  checkInteger('flashAttentionPacked', 'numHeads', numHeads);
  checkInteger('flashAttentionPacked', 'numKvHeads', numKvHeads);
  checkDivisible('flashAttentionPacked', 'numHeads', numHeads, 'numKvHeads', numKvHeads);
  const [, seqLen, width] = qkv.shape as [number, number, number];
  const count = numHeads + 2 * numKvHeads;
  if (width === 0 || width % count !== 0) {
    throw new ShapeError(`flashAttentionPacked: qkv must have a width divisible by its ${count} heads, got ${width}`);
  }
  if (seqLen === 0) throw new ShapeError('flashAttentionPacked: qkv must have at least one position, got 0');
  return width / count;
}

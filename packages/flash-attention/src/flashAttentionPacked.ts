import { checkDivisible, checkInteger, ShapeError, splitHeads, type PackedAttentionSizes } from '@evenkeel/core-tensor';
import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { attend } from './attend.ts';
import { fusedAttention, fusedAttentionPacked } from './fusedAttention.ts';
import { fusedGeneral } from './fusedGeneral.ts';
import { checkFloats } from './inputs.ts';
import { checkOptionNames, PACKED_OPTIONS } from './optionNames.ts';
import type { AttentionResult, AttentionWithLse, AttentionWithStats, FlashAttentionPackedOptions, ReturnStats } from './options.ts';

/**
 * flashAttentionPacked — `flashAttention` on the tensor that one projection to queries, keys and values makes, without taking it apart.
 *
 *     q, k, v = split(qkv, [h·d, g·d, g·d])        flashAttention(q, k, v, options)
 *
 * Where the backend has the kernel, q, k and v are read where they lie, and the gradient is written as one tensor; with `returnLse`,
 * `softcap` or `blockMask` they are taken apart first.
 *
 * @param qkv      `b t (h+2g)·d` — float32; each row holds the h heads of q, then the g heads of k, then those of v.
 * @param options  `numHeads` = h; `numKvHeads` = g, divides h (default h); the others as `flashAttention`, with s = t.
 * @returns        as `flashAttention`; owned by the caller.
 * @throws ShapeError   if rank, dtype or width do not fit.
 * @throws ConfigError  if a number of heads does not fit, or as `flashAttention`.
 *
 * Source: Dao 2023, arXiv:2307.08691; the name follows the official code's `flash_attn_qkvpacked_func`.
 */
export function flashAttentionPacked(qkv: Tensor, options: FlashAttentionPackedOptions & { returnLse?: false; returnStats?: false }): Tensor;
export function flashAttentionPacked(qkv: Tensor, options: FlashAttentionPackedOptions & { returnStats: true }): AttentionWithStats;
export function flashAttentionPacked(qkv: Tensor, options: FlashAttentionPackedOptions & { returnLse: true; returnStats?: false }): AttentionWithLse;
export function flashAttentionPacked(qkv: Tensor, options: FlashAttentionPackedOptions & ReturnStats): AttentionResult;
export function flashAttentionPacked(qkv: Tensor, { numHeads, numKvHeads = numHeads, ...options }: FlashAttentionPackedOptions & ReturnStats = {} as never): AttentionResult {
  const headDim = checkPacked(qkv, { numHeads, numKvHeads });
  checkOptionNames('flashAttentionPacked', options, PACKED_OPTIONS);
  const [batchSize, seqLen] = qkv.shape as [number, number, number];
  const heads = { numHeads, numKvHeads };
  return tidy('flashAttentionPacked', (): AttentionResult => attend('flashAttentionPacked', { batchSize, seqLen, kvLen: seqLen, numHeads, headDim }, options, {
    plain: (terms, attrs, wanted) => (wanted === 'lse'
      ? fusedAttention.lse({ ...splitHeads(qkv, heads), ...terms }, attrs)
      : fusedAttentionPacked[wanted]({ qkv, ...terms }, { ...attrs, ...heads })),
    general: (terms, attrs, wanted) => fusedGeneral[wanted]({ ...splitHeads(qkv, heads), ...terms }, attrs),
  }));
}

/** Checks the tensor and the numbers of heads, and returns the width of a head. */
function checkPacked(qkv: Tensor, { numHeads, numKvHeads }: Required<PackedAttentionSizes>): number {
  checkFloats('flashAttentionPacked', 'qkv', qkv, 3);
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

import { reshape, tensor1d, tensor2d, type Tensor } from '@tensorflow/tfjs-core';
import { hasKernel, type AttentionFn } from '@evenkeel/core-tensor';
import { alibiSlopesFor, flashAttention, flashAttentionPacked, flashAttentionVarlen } from '@evenkeel/flash-attention';
import { embedding } from '@evenkeel/layers';
import type { BertConfig } from './bertConfig.ts';
import { padInput } from './unpad.ts';

/**
 * bertAttention — an encoder's own attention: it drops weights at the rate at which everything is dropped, lowers scores by distance
 * where positions are `alibi`, and stays within sequences of different lengths: by the kernel for these, or, where a backend has none, padded for attention alone.
 *
 * Source: ALiBi in both directions: Portes et al. 2023, arXiv:2312.17482, §3.1.
 */
export function bertAttention({ dropout, positions, numHeads }: BertConfig): AttentionFn {
  const terms = () => ({ dropout, ...(positions === 'alibi' && { alibiSlopes: alibiSlopesFor(numHeads) }) });
  const attention: AttentionFn = (q, k, v, call) => flashAttention(q, k, v, { ...call, ...terms() });
  const packed: AttentionFn['packed'] = (qkv, call) => flashAttentionPacked(qkv, { ...call, ...terms() });
  const varlen: AttentionFn['varlen'] = (q, k, v, cuSeqlensQ, cuSeqlensK, call) => (hasKernel('evenkeel/attentionVarlen')
    ? flashAttentionVarlen(q, k, v, cuSeqlensQ, cuSeqlensK, { ...call, ...terms() })
    : throughPadding(attention, [q, k, v], cuSeqlensQ, call));
  return Object.assign(attention, { packed, varlen });
}

/** Attention of sequences one after another, `n h d`, by way of sequences of one length. */
function throughPadding(attention: AttentionFn, qkv: readonly [Tensor, Tensor, Tensor], cuSeqlens: readonly number[], call: Parameters<AttentionFn>[3]): Tensor {
  const rows = cuSeqlens.length - 1;
  const lengths = Array.from({ length: rows }, (_, row) => (cuSeqlens[row + 1] as number) - (cuSeqlens[row] as number));
  const longest = Math.max(1, ...lengths);
  const indices = lengths.flatMap((length, row) => Array.from({ length }, (_, i) => row * longest + i));
  const mask = new Int32Array(rows * longest);
  for (const index of indices) mask[index] = 1;
  const [count, numHeads, headDim] = qkv[0].shape as [number, number, number];
  const [q, k, v] = qkv.map((x) => reshape(padInput(reshape(x, [count, -1]), indices, rows, longest), [rows, longest, -1, headDim])) as [Tensor, Tensor, Tensor];
  const mixed = attention(q, k, v, { ...call, keyPaddingMask: tensor2d(mask, [rows, longest], 'int32') }); // b t h d
  return reshape(embedding(tensor1d(indices, 'int32'), { weight: reshape(mixed, [rows * longest, numHeads * headDim]) }), [count, numHeads, headDim]);
}

import type { AttentionFn } from '@evenkeel/core-tensor';
import { alibiSlopesFor, flashAttention, flashAttentionPacked, flashAttentionVarlen } from '@evenkeel/flash-attention';
import type { BertConfig } from './bertConfig.ts';

/**
 * bertAttention — an encoder's own attention: it drops weights at the rate at which everything is dropped, lowers scores by distance
 * where positions are `alibi`, and stays within sequences of different lengths.
 *
 * Source: ALiBi in both directions: Portes et al. 2023, arXiv:2312.17482, §3.1.
 */
export function bertAttention({ dropout, positions, numHeads }: BertConfig): AttentionFn {
  const terms = () => ({ dropout, ...(positions === 'alibi' && { alibiSlopes: alibiSlopesFor(numHeads) }) });
  const attention: AttentionFn = (q, k, v, call) => flashAttention(q, k, v, { ...call, ...terms() });
  const packed: AttentionFn['packed'] = (qkv, call) => flashAttentionPacked(qkv, { ...call, ...terms() });
  const varlen: AttentionFn['varlen'] = (q, k, v, cuSeqlensQ, cuSeqlensK, call) => flashAttentionVarlen(q, k, v, cuSeqlensQ, cuSeqlensK, { ...call, ...terms() });
  return Object.assign(attention, { packed, varlen });
}

import { reshape, split, type Tensor } from '@tensorflow/tfjs-core';
import type { PackedAttentionSizes } from './techniques.ts';

/**
 * splitHeads — takes apart what one projection to queries, keys and values makes (see PackedAttentionFn).
 *
 * @param qkv  `b t (h+2g)·d` — each row holds the h heads of q, then the g heads of k, then those of v.
 * @returns    `q: b t h d`, `k: b t g d` and `v: b t g d`, owned by the caller.
 */
export function splitHeads(qkv: Tensor, { numHeads, numKvHeads = numHeads }: PackedAttentionSizes): { q: Tensor; k: Tensor; v: Tensor } {
  const [B, T, C] = qkv.shape as [number, number, number];
  const headDim = C / (numHeads + 2 * numKvHeads);
  const counts = [numHeads, numKvHeads, numKvHeads];
  const [q, k, v] = split(qkv, counts.map((count) => count * headDim), -1)
    .map((part, i) => reshape(part, [B, T, counts[i] as number, headDim])) as [Tensor, Tensor, Tensor];
  return { q, k, v };
}

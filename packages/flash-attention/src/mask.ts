import type { AttentionAttrs } from './options.ts';

/**
 * AttentionMask — `bias: t s` is 0 where a query may attend and −Infinity where not; `sees: t` is 1 for a query that sees some key
 * and 0 for one that sees none (`seesAll` says that there is no 0), whose row of the bias is 0, so that all arithmetic stays finite.
 */
export type AttentionMask = { bias: Float32Array; sees: Float32Array; seesAll: boolean };

/**
 * attentionMask — which keys each query sees, or undefined where every query sees every key.
 *
 * Query i stands at key i + s − t (aligned bottom-right): the last query stands at the last key.
 *
 *     t = 3, s = 5, causal:    x x x . .        t = 5, s = 3, causal:    . . .
 *                              x x x x .                                 . . .
 *                              x x x x x                                 x . .
 *                                                                        x x .
 *                                                                        x x x
 */
export function attentionMask(seqLen: number, kvLen: number, { causal, windowLeft, windowRight }: AttentionAttrs): AttentionMask | undefined {
  if (!causal && windowLeft < 0 && windowRight < 0) return undefined;
  const left = windowLeft < 0 ? Infinity : windowLeft;
  const right = Math.min(windowRight < 0 ? Infinity : windowRight, causal ? 0 : Infinity);
  const bias = new Float32Array(seqLen * kvLen);
  const sees = new Float32Array(seqLen);
  for (let i = 0; i < seqLen; i++) {
    const position = i + kvLen - seqLen;
    const first = Math.max(0, position - left);
    const end = Math.min(kvLen, position + right + 1);
    if (first >= end) continue;
    bias.fill(-Infinity, i * kvLen, i * kvLen + first).fill(-Infinity, i * kvLen + end, (i + 1) * kvLen);
    sees[i] = 1;
  }
  return { bias, sees, seesAll: sees.every((flag) => flag === 1) };
}

/** alibiDistances — |i + s − t − j| for query i and key j, `t s`: how far the key is from where the query stands. */
export function alibiDistances(seqLen: number, kvLen: number): Float32Array {
  const distances = new Float32Array(seqLen * kvLen);
  for (let i = 0; i < seqLen; i++) {
    for (let j = 0; j < kvLen; j++) distances[i * kvLen + j] = Math.abs(i + kvLen - seqLen - j);
  }
  return distances;
}

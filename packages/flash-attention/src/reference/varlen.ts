import { concat, expandDims, fill, mul, slice, squeeze, tensor, zerosLike, type Tensor } from '@tensorflow/tfjs-core';
import type { VarlenAttrs, VarlenInputs } from '../varlenOptions.ts';
import { referenceAttention, type DropWeights } from './attention.ts';
import { keepFactors } from './scores.ts';
import { referenceVarlenUnread } from './varlenUnread.ts';

/** referenceVarlen — attention of each sequence by itself, one after another: [out: n h d, lse: h n]. */
export function referenceVarlen(inputs: VarlenInputs, attrs: VarlenAttrs): Tensor[] {
  const { boundaries } = attrs;
  if (boundaries === undefined) return referenceVarlenUnread(inputs, attrs);
  const dropFrom = dropper(inputs.q, attrs);
  const parts = boundaries.q.slice(1).flatMap((end, b) => {
    const start = boundaries.q[b] as number;
    return start === end ? [] : [ofSequence(inputs, attrs, b, dropFrom(start))];
  });
  return [concat(parts.map(([out]) => out), 0), concat(parts.map(([, lse]) => lse), 1)];
}

/** [out: t h d, lse: h t] of sequence b, which has queries. */
function ofSequence({ q, k, v, alibiSlopes }: VarlenInputs, attrs: VarlenAttrs, b: number, drop: DropWeights | undefined): [Tensor, Tensor] {
  const { boundaries } = attrs as Required<VarlenAttrs>;
  const rows = (x: Tensor, of: readonly number[]): Tensor => {
    const [start, end] = [of[b], of[b + 1]] as [number, number];
    return slice(x, [start, 0, 0], [end - start, ...x.shape.slice(1)]);
  };
  const queries = rows(q, boundaries.q); // t h d
  const [T, H] = queries.shape as [number, number];
  if (boundaries.k[b] === boundaries.k[b + 1]) return [zerosLike(queries), fill([H, T], Infinity)];
  const [keys, values] = [rows(k, boundaries.k), rows(v, boundaries.k)]; // s g d
  const slopes = alibiSlopes?.shape.length === 2 ? slice(alibiSlopes, [b, 0], [1, H]) : alibiSlopes;
  const sequence = { q: expandDims(queries, 0), k: expandDims(keys, 0), v: expandDims(values, 0), alibiSlopes: slopes };
  const [out, lse] = referenceAttention(sequence, attrs, drop);
  return [squeeze(out, [0]), squeeze(lse, [0])];
}

/** Dropout of the sequence that starts at a row: its weights `1 h t s` among those of `h n maxSeqlenK`. */
function dropper({ shape }: Tensor, attrs: VarlenAttrs): (start: number) => DropWeights | undefined {
  const { dropout, maxSeqlenK } = attrs;
  if (dropout === 0) return () => undefined;
  const [N, H] = shape as [number, number];
  const keep = keepFactors(attrs, H * N * maxSeqlenK);
  return (start) => (weights) => {
    const [, , T, S] = weights.shape as [number, number, number, number];
    const own = new Float32Array(weights.size);
    for (let row = 0; row < H * T; row++) {
      const from = (Math.floor(row / T) * N + start + (row % T)) * maxSeqlenK;
      own.set(keep.subarray(from, from + S), row * S);
    }
    return mul(weights, tensor(own, weights.shape));
  };
}

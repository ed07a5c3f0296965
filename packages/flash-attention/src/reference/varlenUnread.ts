import {
  abs, add, cast, equal, expandDims, gather, greaterEqual, less, lessEqual, logicalAnd, minimum, mul, neg, range, scalar, slice, squeeze, sub, sum,
  tensor, transpose, type Tensor,
} from '@tensorflow/tfjs-core';
import type { VarlenAttrs, VarlenInputs } from '../varlenOptions.ts';
import { maskFromVisible } from './blockwiseMask.ts';
import { attentionScores, attentionWeights, keepFactors, mixValues, rowLse } from './scores.ts';

/**
 * referenceVarlenUnread — the same where the boundaries are on the device and cannot be read: all n·m scores, and a mask made of
 * tensors. What is not finite in one sequence makes NaN of the others.
 */
export function referenceVarlenUnread({ q, k, v, alibiSlopes, cuSeqlensQ, cuSeqlensK }: VarlenInputs, attrs: VarlenAttrs): Tensor[] {
  const [queries, keys] = [placesOf(cuSeqlensQ, q.shape[0] as number), placesOf(cuSeqlensK, k.shape[0] as number)];
  const lengthK = gather(lengths(cuSeqlensK), queries.known); // n: keys of each query's sequence
  const lengthQ = gather(lengths(cuSeqlensQ), queries.known);
  const stands = add(queries.position, sub(lengthK, lengthQ)); // n: the key beside which each query stands
  const offset = sub(expandDims(keys.position, 0), expandDims(stands, 1)); // n m
  const mask = maskFromVisible(visible(queries, keys, offset, attrs));
  const [Q, K, V] = [expandDims(q, 0), expandDims(k, 0), expandDims(v, 0)]; // 1 n h d
  const bias = alibiSlopes && alibi(alibiSlopes, queries.known, offset);
  const scores = attentionScores({ q: Q, k: K, bias }, attrs, mask); // 1 h n m
  const weights = dropWeights(attentionWeights(scores, mask), keys.position, attrs);
  return [squeeze(mixValues(weights, V), [0]), squeeze(rowLse(scores, mask), [0])];
}

/** Places — of each row: its sequence (their number for rows that belong to none), one that exists instead, its place in it. Int32. */
type Places = { sequence: Tensor; known: Tensor; position: Tensor; count: number };

function placesOf(cuSeqlens: Tensor, rows: number): Places {
  const count = cuSeqlens.size - 1;
  const index = range(0, rows, 1, 'int32');
  const ends = slice(cuSeqlens, 1, count);
  const sequence = sum(cast(lessEqual(expandDims(ends, 1), expandDims(index, 0)), 'int32'), 0);
  const known = minimum(sequence, scalar(count - 1, 'int32'));
  return { sequence, known, position: sub(index, gather(cuSeqlens, known)), count };
}

const lengths = (cuSeqlens: Tensor): Tensor => sub(slice(cuSeqlens, 1, cuSeqlens.size - 1), slice(cuSeqlens, 0, cuSeqlens.size - 1));

/** `n m`, float32: 1 where a query sees a key. */
function visible(queries: Places, keys: Places, offset: Tensor, { causal, windowLeft, windowRight }: VarlenAttrs): Tensor {
  const belongs = less(queries.sequence, scalar(queries.count, 'int32')); // n
  let sees = logicalAnd(equal(expandDims(queries.sequence, 1), expandDims(keys.sequence, 0)), expandDims(belongs, 1));
  const right = causal ? 0 : windowRight;
  if (right >= 0) sees = logicalAnd(sees, lessEqual(offset, scalar(right, 'int32')));
  if (windowLeft >= 0) sees = logicalAnd(sees, greaterEqual(offset, scalar(-windowLeft, 'int32')));
  return cast(sees, 'float32');
}

/** −slope · |offset|, `1 h n m`, with the slopes of each query's sequence. */
function alibi(slopes: Tensor, sequence: Tensor, offset: Tensor): Tensor {
  const perRow = slopes.shape.length === 2 ? transpose(gather(slopes, sequence)) : expandDims(slopes, 1); // h n|1
  return expandDims(mul(neg(expandDims(perRow, -1)), cast(abs(offset), 'float32')), 0);
}

/** Weight (head, row, column in its sequence) by the word of `h n maxSeqlenK`. */
function dropWeights(weights: Tensor, columns: Tensor, attrs: VarlenAttrs): Tensor {
  if (attrs.dropout === 0) return weights;
  const [, H, N] = weights.shape as [number, number, number];
  const { maxSeqlenK } = attrs;
  const keep = tensor(keepFactors(attrs, H * N * maxSeqlenK), [H, N, maxSeqlenK]);
  return mul(weights, expandDims(gather(keep, minimum(columns, scalar(maxSeqlenK - 1, 'int32')), 2), 0));
}

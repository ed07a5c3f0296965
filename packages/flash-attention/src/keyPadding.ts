import { add, cast, greater, mul, reshape, scalar, sub, transpose, where, zerosLike, type Tensor } from '@tensorflow/tfjs-core';

/** Added to the scores of padding: far below every other score, and finite, so that rows of nothing but padding stay finite. */
const PADDING = -1e30;

/** paddingBias — 0 for keys that take part and −1e30 for padding, `b 1 1 s`, added to `bias` if there is one. */
export function paddingBias(mask: Tensor, bias: Tensor | undefined): Tensor {
  const [batchSize, kvLen] = mask.shape as [number, number];
  const takesPart = cast(cast(mask, 'bool'), 'float32'); // b s
  const padding = reshape(mul(sub(1, takesPart), PADDING), [batchSize, 1, 1, kvLen]);
  return bias === undefined ? padding : add(bias, padding);
}

/**
 * hidePaddedRows — what a query that sees only padding is given: out 0, lse +Infinity, rowMax −Infinity, entropy 0, and no gradient.
 *
 * Its lse tells: it is about −1e30.
 */
export function hidePaddedRows([out, lse, rowMax, entropy]: readonly Tensor[]): Tensor[] {
  const sees = greater(lse as Tensor, PADDING / 10); // b h t
  const [batchSize, numHeads, seqLen] = sees.shape as [number, number, number];
  const seesAsOut = reshape(transpose(sees, [0, 2, 1]), [batchSize, seqLen, numHeads, 1]);
  return [
    where(seesAsOut, out as Tensor, zerosLike(out as Tensor)),
    where(sees, lse as Tensor, scalar(Infinity)),
    ...(rowMax === undefined ? [] : [where(sees, rowMax, scalar(-Infinity))]),
    ...(entropy === undefined ? [] : [where(sees, entropy, scalar(0))]),
  ];
}

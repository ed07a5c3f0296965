import { randomBits } from '@evenkeel/core-tensor';
import type { FlashAttentionOptions } from '@evenkeel/flash-attention';
import { randomArray, type AttentionSizes64 } from '@evenkeel/testing';
import { tensor, type Tensor } from '@tensorflow/tfjs-core';

export type AttentionValues = { q: Float32Array; k: Float32Array; v: Float32Array };
export type AttentionCase = { q: Tensor; k: Tensor; v: Tensor; values: AttentionValues; sizes: AttentionSizes64; options: FlashAttentionOptions & { returnLse?: false } };

/** makeCase — seeded q, k and v of the given sizes on the current backend, as numbers, and the options that go with them. */
export function makeCase(sizes: AttentionSizes64, std = 1, seed = 1): AttentionCase {
  const { batchSize, seqLen, kvLen, numHeads, numKvHeads = numHeads, headDim, scale, causal, window } = sizes;
  const shapes = { q: [batchSize, seqLen, numHeads, headDim], k: [batchSize, kvLen, numKvHeads, headDim], v: [batchSize, kvLen, numKvHeads, headDim] };
  const make = (shape: number[], offset: number, spread: number) => randomArray(shape.reduce((a, b) => a * b), { seed: seed * 31 + offset, std: spread });
  const values = { q: make(shapes.q, 1, std), k: make(shapes.k, 2, std), v: make(shapes.v, 3, 1) };
  return {
    q: tensor(values.q, shapes.q), k: tensor(values.k, shapes.k), v: tensor(values.v, shapes.v), values, sizes, options: { scale, causal, window },
  };
}

/** Terms — what may change the scores and weights, by name: the axes that `slopes` and `bias` have, and the rate of dropout. */
export type Terms = { slopes?: 'h' | 'bh'; bias?: readonly [b: boolean, h: boolean, t: boolean, s: boolean]; dropout?: number };

/** withTerms — the case with these terms in its options and, for the oracle, in its sizes; `terms` are the tensors to free with it. */
export function withTerms(made: AttentionCase, { slopes, bias, dropout }: Terms, seed = 1): AttentionCase & { terms: { alibiSlopes?: Tensor; bias?: Tensor } } {
  const { batchSize: B, numHeads: H, seqLen: T, kvLen: S } = made.sizes;
  const shape = bias && [B, H, T, S].map((size, axis) => (bias[axis] ? size : 1));
  const values = shape && randomArray(shape.reduce((a, b) => a * b), { seed: seed * 31 + 5 });
  const slopeValues = slopes && Float32Array.from({ length: slopes === 'h' ? H : B * H }, (_, i) => 2 ** -(i + 1));
  const terms = {
    ...(slopeValues && { alibiSlopes: tensor(slopeValues, slopes === 'h' ? [H] : [B, H]) }),
    ...(shape && values && { bias: tensor(values, shape) }),
  };
  const drops = dropout === undefined ? {} : { dropout, train: true, seed: 12345 };
  return {
    ...made, terms, options: { ...made.options, ...terms, ...drops },
    sizes: {
      ...made.sizes, ...(slopeValues && { slopes: slopeValues }), ...(shape && values && { bias: { values, shape } }),
      ...(dropout !== undefined && { keep: keepFactors(12345, dropout, B * H * T * S) }),
    },
  };
}

/** keepFactors — 0 for the elements that dropout drops, 1/(1 − rate) for the others, by the bits of the seed, as documented. */
export function keepFactors(seed: number, rate: number, size: number): Float64Array {
  return Float64Array.from(randomBits(seed, size), (bits) => (bits >= rate * 2 ** 32 ? 1 / (1 - rate) : 0));
}

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

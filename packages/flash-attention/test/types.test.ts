import type { AttentionFn } from '@evenkeel/core-tensor';
import {
  attentionReference, flashAttention, flashAttentionPacked, flashAttentionVarlen, type AttentionResult, type AttentionWithLse, type AttentionWithStats,
  type FlashAttentionOptions, type FlashAttentionPackedOptions, type FlashAttentionVarlenOptions,
} from '@evenkeel/flash-attention';
import { dispose, randomUniform, Tensor } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { expect, expectTypeOf, it } from 'vitest';

/** The types are checked by `tsc`: what is called here must compile, and what it gives must have the type that is said. */

it('flashAttention and attentionReference take options of any type of theirs, and give what these say', () => {
  const q: Tensor = randomUniform([1, 3, 2, 4]);
  const given: FlashAttentionOptions = { causal: true };
  const either: FlashAttentionOptions & { returnLse: boolean; returnStats: boolean } = { returnLse: true, returnStats: false };
  for (const attention of [flashAttention, attentionReference]) {
    expectTypeOf(attention(q, q, q)).toEqualTypeOf<Tensor>();
    expectTypeOf(attention(q, q, q, { causal: true, returnLse: false })).toEqualTypeOf<Tensor>();
    expectTypeOf(attention(q, q, q, { returnLse: true })).toEqualTypeOf<AttentionWithLse>();
    expectTypeOf(attention(q, q, q, { returnLse: true, returnStats: true })).toEqualTypeOf<AttentionWithStats>();
    expectTypeOf(attention(q, q, q, given)).toEqualTypeOf<AttentionResult>();
    const result = attention(q, q, q, either);
    expectTypeOf(result).toEqualTypeOf<AttentionResult>();
    expect(result instanceof Tensor).toBe(false);
    dispose(result);
  }
  expectTypeOf(flashAttention).toExtend<AttentionFn>();
  expectTypeOf(attentionReference).toExtend<AttentionFn>();
  dispose(q);
});

it('flashAttentionPacked takes options of any type of its own, and gives what these say', () => {
  const qkv: Tensor = randomUniform([1, 3, 24]);
  const given: FlashAttentionPackedOptions = { numHeads: 2, returnLse: true };
  expectTypeOf(flashAttentionPacked(qkv, { numHeads: 2 })).toEqualTypeOf<Tensor>();
  expectTypeOf(flashAttentionPacked(qkv, { numHeads: 2, returnLse: true })).toEqualTypeOf<AttentionWithLse>();
  expectTypeOf(flashAttentionPacked(qkv, { numHeads: 2, returnStats: true })).toEqualTypeOf<AttentionWithStats>();
  const result = flashAttentionPacked(qkv, given);
  expectTypeOf(result).toEqualTypeOf<AttentionResult>();
  expect(Object.keys(result)).toEqual(['out', 'lse']);
  dispose([qkv, result] as never);
});

it('flashAttentionVarlen takes options of any type of its own, and gives what these say', () => {
  const q: Tensor = randomUniform([3, 2, 4]);
  const given: FlashAttentionVarlenOptions = { returnLse: true };
  expectTypeOf(flashAttentionVarlen(q, q, q, [0, 3], [0, 3])).toEqualTypeOf<Tensor>();
  expectTypeOf(flashAttentionVarlen(q, q, q, [0, 3], [0, 3], { returnLse: true })).toEqualTypeOf<AttentionWithLse>();
  const result = flashAttentionVarlen(q, q, q, [0, 3], [0, 3], given);
  expectTypeOf(result).toEqualTypeOf<Tensor | AttentionWithLse>();
  expect(Object.keys(result)).toEqual(['out', 'lse']);
  dispose([q, result] as never);
});

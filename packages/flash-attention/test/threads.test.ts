import { vjp } from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionPacked, flashAttentionVarlen } from '@evenkeel/flash-attention';
import { randomTensor } from '@evenkeel/testing';
import { createWasmBackend, type WasmOptions } from '@evenkeel/wasm-kernels';
import { dispose, setBackend, tensor, tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { makeCase, withTerms } from './cases.ts';

/** Runs `fn` on a backend of its own and returns all values of the tensors that it makes. */
async function on(options: WasmOptions, fn: () => Tensor[]): Promise<Float32Array[]> {
  const backend = await createWasmBackend(options);
  await setBackend('evenkeel-wasm');
  const made = fn();
  const values = await Promise.all(made.map(async (each) => Float32Array.from(await each.data())));
  dispose(made);
  backend.dispose();
  return values;
}

/** Result and gradients of one head of one long sequence, which the gradient cuts into parts, or of several sequences. */
const everything = (batchSize: number, numKvHeads: number) => (): Tensor[] => {
  const sizes = { batchSize, seqLen: 200, kvLen: 333, numHeads: 2 * numKvHeads, numKvHeads, headDim: 16, causal: true };
  const { q, k, v, options, terms } = withTerms(makeCase(sizes), { slopes: 'h', bias: [false, true, true, true], dropout: 0.2 });
  const dy = randomTensor(q.shape as [number], { seed: 7 });
  const { value, grads } = vjp(() => flashAttention(q, k, v, options), [q, k, v, terms.bias!], dy);
  dispose([q, k, v, terms, dy]);
  return [value, ...grads];
};

/** The same with a soft cap and a block mask, and statistics. */
const general = (): Tensor[] => {
  const { q, k, v, options, terms } = withTerms(makeCase({ batchSize: 1, seqLen: 200, kvLen: 333, numHeads: 2, numKvHeads: 1, headDim: 16 }), { bias: [false, true, true, true] });
  const [dy, blockMask] = [randomTensor(q.shape as [number], { seed: 7 }), tensor(Array.from({ length: 10 * 7 }, (_, i) => i % 3 > 0), [10, 7], 'bool')];
  const all = { ...options, softcap: 2, blockMask, blockSize: [20, 48] } as const;
  const { value, grads } = vjp(() => flashAttention(q, k, v, all), [q, k, v, terms.bias!], dy);
  const { out, lse, rowMax, entropy } = flashAttention(q, k, v, { ...all, returnStats: true });
  dispose([q, k, v, terms, dy, blockMask]);
  return [value, ...grads, out, lse, rowMax, entropy];
};

const packed = (): Tensor[] => {
  const [qkv, dy] = [randomTensor([1, 200, 4 * 16], { seed: 1 }), randomTensor([1, 200, 2, 16], { seed: 2 })];
  const { value, grads } = vjp(() => flashAttentionPacked(qkv, { numHeads: 2, numKvHeads: 1, causal: true }), [qkv], dy);
  dispose([qkv, dy]);
  return [value, ...grads];
};

/** Result and gradients of sequences of different lengths: many short ones, or a long one whose gradient is cut into parts, rows of none behind it. */
const varlen = (lengths: number[], rows: number) => (): Tensor[] => {
  const [q, k, v, dy] = [4, 2, 2, 4].map((heads, seed) => randomTensor([rows, heads, 16], { seed })) as [Tensor, Tensor, Tensor, Tensor];
  const cuSeqlens = tensor1d(lengths.reduce((all, length) => [...all, (all.at(-1) as number) + length], [0]), 'int32');
  const longest = Math.max(...lengths);
  const options = { causal: true, dropout: 0.2, train: true, seed: 3, maxSeqlenQ: longest, maxSeqlenK: longest };
  const { value, grads } = vjp(() => flashAttentionVarlen(q, k, v, cuSeqlens, cuSeqlens, options), [q, k, v], dy);
  dispose([q, k, v, dy, cuSeqlens]);
  return [value, ...grads];
};

const statistics = (): Tensor[] => {
  const { q, k, v, options, terms } = withTerms(makeCase({ batchSize: 2, seqLen: 200, kvLen: 333, numHeads: 4, numKvHeads: 2, headDim: 16, causal: true }), { slopes: 'h', dropout: 0.2 });
  const qkv = randomTensor([1, 200, 4 * 16], { seed: 1 });
  const made = [flashAttention(q, k, v, { ...options, returnStats: true }), flashAttentionPacked(qkv, { numHeads: 2, numKvHeads: 1, returnStats: true })];
  dispose([q, k, v, terms, qkv]);
  return made.flatMap(({ out, lse, rowMax, entropy }) => [out, lse, rowMax, entropy]);
};

describe.each(['relaxed', 'plain'] as const)('with %s SIMD', (simd) => {
  it.each([['one sequence and key head', everything(1, 1)], ['9 sequences of 2 key heads', everything(9, 2)], ['a packed sequence', packed], ['statistics', statistics], ['a soft cap and a block mask', general], ['short sequences', varlen([5, 64, 1, 0, 17, 33], 120)], ['a long sequence with rows behind it', varlen([300], 333)]] as const)(
    'flashAttention and its gradients are bit-identical on 1, 2 and 4 threads: %s', async (_, fn) => {
      const one = await on({ threads: 1, simd }, fn);
      for (const threads of [2, 4]) {
        const many = await on({ threads, simd }, fn);
        many.forEach((values, i) => expect(values).toEqual(one[i]));
      }
    });
});

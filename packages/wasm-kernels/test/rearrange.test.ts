import * as tf from '@tensorflow/tfjs-core';
import { expectClose, expectNoLeak, randomIntegers, randomTensor } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { cpuCalls } from './cpuCalls.ts';
import { describeVariants } from './variants.ts';

const x = (...shape: number[]): tf.Tensor => randomTensor(shape as [number]);
const whole = (...shape: number[]): tf.Tensor => tf.tensor(randomIntegers(shape.reduce((a, b) => a * b, 1), 1000), shape, 'int32');
const truths = (...shape: number[]): tf.Tensor => tf.tensor(Uint8Array.from(randomIntegers(shape.reduce((a, b) => a * b, 1), 2)), shape, 'bool');
const ids = (...values: number[]): tf.Tensor1D => tf.tensor1d(values, 'int32');

/** What a step of a ViT, BERT or DiT rearranges, reduces and gathers, and odd cases of the same. */
const CASES: Record<string, () => tf.Tensor> = {
  'transpose of patches, channels last': () => tf.transpose(x(2, 3, 4, 5, 2, 3), [0, 1, 3, 2, 4, 5]),
  'transpose of patches, channels first': () => tf.transpose(x(2, 3, 3, 4, 2, 5), [0, 2, 4, 1, 3, 5]),
  'transpose back to an image': () => tf.transpose(x(2, 3, 3, 4, 4, 3), [0, 5, 1, 3, 2, 4]),
  'transpose that reverses all axes': () => tf.transpose(x(3, 65, 2, 7)),
  'transpose with empty axes': () => tf.transpose(x(3, 0, 2, 7), [3, 1, 0, 2]),
  'tile of one token': () => tf.tile(x(1, 1, 65), [130, 1, 1]),
  'tile of one number': () => tf.tile(x(1, 1, 1), [3, 65, 130]),
  'tile of every axis': () => tf.tile(x(2, 3, 5), [2, 3, 4]),
  'tile of the middle': () => tf.tile(x(3, 1, 7), [1, 65, 1]),
  'tile by nothing': () => tf.tile(x(3, 2), [0, 1]),
  'tile of the last axis': () => tf.tile(x(300, 3), [1, 70]),
  'tile of a long row': () => tf.tile(x(1, 98_304), [3, 1]),
  'tile of a mask': () => tf.tile(truths(4, 1, 1, 65), [1, 3, 130, 1]),
  'tile of a column of truths': () => tf.tile(truths(4, 1), [1, 33]),
  'tile of integers': () => tf.tile(whole(4, 1, 65), [1, 3, 1]),
  'transpose of integers': () => tf.transpose(whole(3, 65, 2), [2, 0, 1]),
  'transpose of integers, reversed': () => tf.transpose(whole(3, 65, 2)),
  'transpose of truths': () => tf.transpose(truths(3, 65, 2)),
  'reverse of truths': () => tf.reverse(truths(3, 65), 1),
  'slice of integers': () => tf.slice(whole(3, 65), [1, 2], [2, 60]),
  'slice of several axes': () => tf.slice(x(5, 66, 7), [1, 1, 2], [3, 65, 4]),
  'slice of nothing': () => tf.slice(x(5, 6, 7), [1, 2, 3], [0, 3, 4]),
  'strided slice by steps': () => tf.stridedSlice(x(9, 7, 5), [1, 0, 4], [8, 7, 0], [2, 3, -1]),
  'strided slice with masks': () => tf.stridedSlice(x(4, 5, 6), [1, 2, 3], [3, 4, 5], [1, 1, 1], 1, 2, 0, 0, 4),
  'strided slice of one position': () => tf.stridedSlice(x(4, 17, 32), [0, 0, 0], [4, 1, 32], [1, 1, 1], 0, 0, 0, 0, 2),
  'strided slice with a new axis': () => tf.stridedSlice(x(4, 5), [0, 0, 1], [4, 1, 4], [1, 1, 1], 0, 0, 0, 2, 0),
  'reverse of one axis': () => tf.reverse(x(3, 65, 2), 1),
  'reverse of all axes': () => tf.reverse(x(3, 5, 7)),
  'pad of several axes': () => tf.pad(x(3, 65, 1), [[1, 2], [0, 1], [2, 3]], -1.5),
  'pad of an empty axis': () => tf.pad(x(3, 0), [[1, 2], [1, 1]], 2),
  'sum of scattered axes': () => tf.sum(x(5, 65, 3, 7), [0, 2]),
  'mean of scattered axes, kept': () => tf.mean(x(5, 65, 3, 7), [1, 3], true),
  'max of scattered axes': () => tf.max(x(5, 65, 3, 7), [0, 2]),
  'max of the middle': () => tf.max(x(3, 130, 65), 1),
  'max of the first axis, kept': () => tf.max(x(65, 3), 0, true),
  'mean of the tokens': () => tf.mean(x(2, 65, 130), 1),
  'sum of no axes': () => tf.sum(x(2, 3), []),
  'gather of rows': () => tf.gather(x(65, 130), ids(3, 0, 64, 3)),
  'gather of tokens': () => tf.gather(x(3, 17, 65), ids(0, 16, 5), 1),
  'gather of channels by a matrix of indices': () => tf.gather(x(3, 5, 7), tf.tensor2d([[0, 6], [3, 3], [1, 2]], [3, 2], 'int32'), -1),
  'gather of nothing': () => tf.gather(x(3, 5), ids()),
  'scatter of rows, some twice': () => tf.scatterND(tf.tensor2d([[3], [0], [3]], [3, 1], 'int32'), x(3, 65), [130, 65]),
  'scatter of numbers': () => tf.scatterND(tf.tensor2d([[3], [0], [3]], [3, 1], 'int32'), x(3), [5]),
};

/** Made of kernels that have no case here: zero-sized reductions and copies of nothing, which the CPU backend does as well. */
const ON_CPU = new Set(['sum of no axes']);

describeVariants(() => {
  it.each(Object.entries(CASES))('%s gives what the CPU backend gives, in our own kernels', async (title, run) => {
    await tf.setBackend('cpu');
    const expected = tf.tidy(run);
    const values = await expected.data() as Float32Array;
    await tf.setBackend('evenkeel-wasm');
    const { result: actual, names } = cpuCalls(() => tf.tidy(run));
    expect([actual.shape, actual.dtype]).toEqual([expected.shape, expected.dtype]);
    await expectClose(actual, values, { rtol: 1e-6, atol: 1e-6 });
    if (!ON_CPU.has(title)) expect(names).toEqual([]);
    await expectNoLeak(() => tf.tidy(run));
    tf.dispose([expected, actual]);
  });

  it('gather and scatterND leave indices out of range to the CPU backend', () => {
    const [table, wrong] = [x(3, 4), ids(3)];
    expect(() => tf.gather(table, wrong)).toThrow(/GatherV2: the index value 3 is not in \[0, 2\]/);
    expect(() => tf.scatterND(tf.tensor2d([[-1]], [1, 1], 'int32'), x(1, 4), [3, 4])).toThrow(/Invalid indices/);
  });

  it('stridedSlice of nothing is empty', () => {
    expect(tf.stridedSlice(x(4, 5), [3, 0], [1, 5], [1, 1]).shape).toEqual([0, 5]);
  });

  it('stridedSlice takes steps on one axis and leaves out another', async () => {
    await expectClose(tf.stridedSlice(tf.tensor([[1, 2], [3, 4], [5, 6]]), [0, 1], [3, 2], [2, 1], 0, 0, 0, 0, 2), [2, 6]);
  });

  it('max of the middle lets NaN win', async () => {
    await expectClose(tf.max(tf.tensor([[1, NaN], [5, 2], [NaN, 3]], [3, 2]), 0), [NaN, NaN]);
  });

  it.each([15, 16, 17, 18])('tile, transpose, reverse, add and less agree with the CPU backend on %i axes that do not merge', async (rank) => {
    const numbers = tf.reshape(tf.range(0, 2 ** rank), Array(rank).fill(2) as [number]);
    const alternating = (odd: number): tf.Tensor => x(...Array.from({ length: rank }, (_, axis) => (axis % 2 === odd ? 2 : 1)));
    const [a, b] = [alternating(0), alternating(1)];
    const thin = x(...Array(9).fill(2) as number[]);
    const results = (): tf.Tensor[] => [
      tf.transpose(numbers, [...Array(rank).keys()].reverse()), tf.reverse(numbers, [0, 2, 4, 6, 8, 10, 12, 14]),
      tf.tile(thin, Array.from({ length: 9 }, (_, axis) => (axis < rank - 10 ? 2 : 1))), tf.add(a, b), tf.less(a, b),
    ];
    const ours = await Promise.all(results().map((each) => each.data()));
    await tf.setBackend('cpu');
    const expected = await Promise.all(results().map((each) => each.data()));
    await tf.setBackend('evenkeel-wasm');
    expect(ours).toEqual(expected);
  });
});

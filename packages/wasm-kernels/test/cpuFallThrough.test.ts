import * as tf from '@tensorflow/tfjs-core';
import { expectClose, expectNoLeak, randomTensor } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { describeVariants } from './variants.ts';

type Inputs = { x: tf.Tensor2D; y: tf.Tensor2D; image: tf.Tensor4D; ids: tf.Tensor1D };

/** Ops of many kinds, whether this backend has a kernel for them or leaves them to the CPU backend's JavaScript. */
const OPS: Record<string, (inputs: Inputs) => tf.Tensor | tf.Tensor[]> = {
  exp: ({ x }) => tf.exp(x), erf: ({ x }) => tf.erf(x), floor: ({ x }) => tf.floor(x), sum: ({ x }) => tf.sum(x, 0), mean: ({ x }) => tf.mean(x),
  max: ({ x }) => tf.max(x, 1), argMax: ({ x }) => tf.argMax(x, 1), all: ({ x }) => tf.all(tf.greater(x, -9)), prod: ({ x }) => tf.prod(x, 1),
  softmax: ({ x }) => tf.softmax(x), logSumExp: ({ x }) => tf.logSumExp(x, 1), cumsum: ({ x }) => tf.cumsum(x, 1), topk: ({ x }) => tf.topk(x, 2).values,
  transpose: ({ x }) => tf.transpose(x), reverse: ({ x }) => tf.reverse(x, 0), slice: ({ x }) => tf.slice(x, [1, 1], [2, 2]), rows: ({ x }) => tf.slice(x, [1, 0], [2, 5]),
  stridedSlice: ({ x }) => tf.stridedSlice(x, [0, 0], [4, 5], [2, 2]), concat: ({ x, y }) => tf.concat([x, y], 1), split: ({ x }) => tf.split(x, 2),
  stack: ({ x, y }) => tf.stack([x, y]), unstack: ({ x }) => tf.unstack(x), tile: ({ x }) => tf.tile(x, [2, 3]), pad: ({ x }) => tf.pad(x, [[1, 0], [0, 2]]),
  gather: ({ x, ids }) => tf.gather(x, ids), oneHot: ({ ids }) => tf.oneHot(ids, 4), segments: ({ x, ids }) => tf.unsortedSegmentSum(x, ids, 4),
  where: ({ x, y }) => tf.where(tf.greater(x, y), x, y), maximum: ({ x, y }) => tf.maximum(x, y), pow: ({ x }) => tf.pow(tf.abs(x), 1.5),
  equal: ({ x, y }) => tf.equal(x, y), logicalAnd: ({ x, y }) => tf.logicalAnd(tf.greater(x, 0), tf.less(y, 0)), clip: ({ x }) => tf.clipByValue(x, -0.5, 0.5),
  einsum: ({ x, y }) => tf.einsum('ij,kj->ik', x, y), conv2d: ({ image }) => tf.conv2d(image, tf.ones([3, 3, 2, 3]) as tf.Tensor4D, 1, 'same'),
  maxPool: ({ image }) => tf.maxPool(image, 2, 2, 'valid'), resize: ({ image }) => tf.image.resizeBilinear(image, [3, 3]), fft: ({ x }) => tf.real(tf.fft(tf.complex(x, x))),
  cast: ({ x }) => tf.cast(x, 'int32'), bool: ({ x }) => tf.cast(x, 'bool'), fill: () => tf.fill([2, 3], 4), range: () => tf.range(0, 5), eye: () => tf.eye(3),
  linspace: () => tf.linspace(0, 1, 7), bincount: ({ ids }) => tf.bincount(ids, [], 4), scatter: ({ ids }) => tf.scatterND(tf.expandDims(ids, 1), ids, [5]),
};

function makeInputs(): Inputs {
  return tf.tidy(() => ({
    x: tf.add(randomTensor([4, 5]), 0) as tf.Tensor2D,
    y: tf.add(randomTensor([4, 5], { seed: 2 }), 0) as tf.Tensor2D,
    image: tf.add(randomTensor([1, 5, 5, 2], { seed: 3 }), 0) as tf.Tensor4D,
    ids: tf.tensor1d([3, 0, 3, 1], 'int32'),
  }));
}

async function onCpu(op: (inputs: Inputs) => tf.Tensor | tf.Tensor[]): Promise<{ shape: number[]; dtype: string; values: number[] }[]> {
  await tf.setBackend('cpu');
  const results = [op(makeInputs())].flat();
  const read = await Promise.all(results.map(async (each) => ({ shape: each.shape, dtype: each.dtype, values: [...(await each.data())] })));
  await tf.setBackend('evenkeel-wasm');
  return read;
}

describeVariants(() => {
  it.each(Object.entries(OPS))('%s gives what the CPU backend gives, without a leak', async (_, op) => {
    const expected = await onCpu(op);
    const inputs = makeInputs();
    const results = [op(inputs)].flat();
    expect(results.map(({ shape, dtype }) => ({ shape, dtype }))).toEqual(expected.map(({ shape, dtype }) => ({ shape, dtype })));
    for (const [i, result] of results.entries()) await expectClose(await result.data() as Float32Array, expected[i]?.values ?? [], { rtol: 1e-5, atol: 1e-5 });
    await expectNoLeak(() => tf.tidy(() => op(inputs)));
  });
}, [{ threads: 1 }, { threads: 2 }]);

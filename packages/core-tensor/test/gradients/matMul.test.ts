import * as tf from '@tensorflow/tfjs-core';
import { expectClose } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { gradientTests, type OpCase } from './battery.ts';
import { normal } from './points.ts';

/** Batch axes of a and b; odd sizes, broadcast on either side, one shared weight matrix, no batch at all. */
const BATCHES: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[], []], [[3], [3]], [[5], [1]], [[1], [5]], [[2, 3], []], [[], [2, 3]], [[2, 3], [1, 1]], [[1], [1]], [[2, 3], [3]], [[1, 3], [2, 1, 3]],
];

const cases: OpCase[] = BATCHES.flatMap(([batchA, batchB]) => [[false, false], [false, true], [true, false], [true, true]].map((flags): OpCase => {
  const [transposeA, transposeB] = flags as [boolean, boolean];
  const shapeA = [...batchA, ...(transposeA ? [3, 4] : [4, 3])];
  const shapeB = [...batchB, ...(transposeB ? [5, 3] : [3, 5])];
  return {
    name: `matMul([${shapeA.join(', ')}], [${shapeB.join(', ')}], ${transposeA}, ${transposeB})`,
    op: ({ a, b }) => tf.matMul(a as tf.Tensor, b as tf.Tensor, transposeA, transposeB),
    inputs: () => ({ a: normal(shapeA, 1), b: normal(shapeB, 2) }),
    curved: true,
  };
}));

gradientTests(cases);

const ACTIVATIONS = ['linear', 'relu', 'relu6', 'elu', 'leakyrelu', 'prelu', 'sigmoid'] as const;

/** The kernel itself, as a backend's own layers call it; `tf.fused.matMul` has a gradient of its own inside tfjs. */
function fusedKernel(inputs: Record<string, tf.Tensor | undefined>, activation: string): tf.Tensor {
  const attrs = { transposeA: false, transposeB: true, activation, leakyreluAlpha: 0.3 };
  return tf.engine().runKernel('_FusedMatMul', inputs as tf.NamedTensorMap, attrs) as tf.Tensor;
}

gradientTests(ACTIVATIONS.map((activation): OpCase => ({
  name: `_FusedMatMul with ${activation}`,
  op: ({ a, b, bias, prelu }) => fusedKernel(
    { a: a as tf.Tensor, b: b as tf.Tensor, bias: bias as tf.Tensor, ...(prelu === undefined ? {} : { preluActivationWeights: prelu }) }, activation),
  inputs: () => ({
    a: normal([1, 4, 3], 21), b: normal([1, 5, 3], 22), bias: normal([5], 23), ...(activation === 'prelu' ? { prelu: normal([5], 24) } : {}),
  }),
  curved: true,
})));

it('matMul(x, w) folds a shared weight into one product: its gradient never has the size of one matrix per batch entry', async () => {
  const [x, w] = [normal([64, 3, 4]), normal([1, 4, 5])];
  const profile = await tf.profile(() => {
    const [, dw] = tf.grads((a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.matMul(a, b)))([x, w]);
    return dw as tf.Tensor;
  });
  const largest = Math.max(...profile.kernels.flatMap((kernel) => kernel.outputShapes.map((shape) => (shape as number[]).reduce((size, length) => size * length, 1))));
  expect(largest).toBeLessThanOrEqual(64 * 3 * 5);
});

it('matMul(x, w) with a broadcast weight has the gradient of the weight tiled by hand', async () => {
  const [x, w] = [normal([7, 3, 4]), normal([1, 4, 5])];
  const loss = (product: tf.Tensor): tf.Tensor => tf.sum(tf.square(product));
  const [, broadcast] = tf.grads((a: tf.Tensor, b: tf.Tensor) => loss(tf.matMul(a, b)))([x, w]);
  const [, tiled] = tf.grads((a: tf.Tensor, b: tf.Tensor) => loss(tf.matMul(a, tf.tile(b, [7, 1, 1]))))([x, w]);
  await expectClose(broadcast as tf.Tensor, tiled as tf.Tensor, { rtol: 1e-5, atol: 1e-4 });
});

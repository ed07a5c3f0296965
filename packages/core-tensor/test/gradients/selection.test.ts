import * as tf from '@tensorflow/tfjs-core';
import { expectClose } from '@evenkeel/testing';
import { it } from 'vitest';
import { valueAndGrad } from '@evenkeel/core-tensor';
import { gradientTests } from './battery.ts';
import { awayFromZero, normal } from './points.ts';

gradientTests([
  {
    name: 'where(mask, a, b)',
    op: ({ a, b }) => tf.where(tf.tensor([true, false, true, true, false, false], [2, 3], 'bool'), a as tf.Tensor, b as tf.Tensor),
    inputs: () => ({ a: normal([2, 3], 1), b: normal([2, 3], 2) }),
  },
  {
    name: 'where(a > b, a², b) of a broadcast b',
    op: ({ a, b }) => tf.where(tf.greater(a as tf.Tensor, b as tf.Tensor), tf.square(a as tf.Tensor), b as tf.Tensor),
    inputs: () => ({ a: awayFromZero([3, 4]), b: tf.tensor([[0.1], [-0.05], [0.15]]) }),
    curved: true,
  },
]);

/** Kernels that are constant almost everywhere: added to x they must leave its gradient alone, under both walks of the tape. */
const CONSTANT: Record<string, (x: tf.Tensor) => tf.Tensor> = {
  step: (x) => tf.step(x, 0.5), sign: tf.sign, floor: tf.floor, ceil: tf.ceil, round: tf.round, zerosLike: tf.zerosLike, onesLike: tf.onesLike,
  floorDiv: (x) => tf.floorDiv(x, 2), isNaN: tf.isNaN, isInf: tf.isInf, isFinite: tf.isFinite,
  equal: (x) => tf.equal(x, 1), notEqual: (x) => tf.notEqual(x, 1), greater: (x) => tf.greater(x, 1), greaterEqual: (x) => tf.greaterEqual(x, 1),
  less: (x) => tf.less(x, 1), lessEqual: (x) => tf.lessEqual(x, 1),
  logicalNot: (x) => tf.logicalNot(tf.cast(x, 'bool')), logicalAnd: (x) => tf.logicalAnd(tf.cast(x, 'bool'), tf.tensor([true, false, true])),
  logicalOr: (x) => tf.logicalOr(tf.cast(x, 'bool'), tf.tensor([true, false, true])), logicalXor: (x) => tf.logicalXor(tf.cast(x, 'bool'), tf.tensor([true, false, true])),
  argMax: (x) => tf.argMax(x), argMin: (x) => tf.argMin(x), oneHot: (x) => tf.sum(tf.oneHot(tf.cast(x, 'int32'), 3), -1),
  all: (x) => tf.all(tf.cast(x, 'bool')), any: (x) => tf.any(tf.cast(x, 'bool')),
};

it.each(Object.entries(CONSTANT))('%s(x) has a gradient of zeros', async (_, f) => {
  const x = tf.tensor([0.7, 1.6, -0.4]);
  const loss = (input: tf.Tensor): tf.Tensor => tf.sum(tf.add(tf.mul(input, 3), tf.cast(f(input), 'float32')));
  await expectClose(valueAndGrad(({ x: input }: { x: tf.Tensor }) => loss(input), { x }).grads.x, [3, 3, 3]);
  await expectClose(tf.grad(loss)(x), [3, 3, 3]);
});

it('where(mask, a, b) keeps an infinite gradient of the branch not taken out of the other', async () => {
  const x = tf.tensor([0, 4]);
  const loss = (input: tf.Tensor): tf.Tensor => tf.sum(tf.where(tf.greater(input, 0), tf.sqrt(tf.where(tf.greater(input, 0), input, 1)), tf.mul(input, 2)));
  await expectClose(tf.grad(loss)(x), [2, 0.25]);
});

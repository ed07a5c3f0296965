import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectClose, randomArray, useBackend } from '@evenkeel/testing';

type Case = { title: string; run: (x: (...shape: number[]) => tf.Tensor) => tf.Tensor | tf.Tensor[] };

const unary = ['neg', 'square', 'sqrt', 'rsqrt', 'exp', 'tanh', 'sigmoid', 'relu', 'abs', 'reciprocal', 'erf', 'step'] as const;
const shapes = [[1], [3], [65], [2, 3, 5], [130, 130], [0, 4]];

const cases: Case[] = [
  ...unary.flatMap((name) => shapes.map((shape) => ({
    title: `${name} of [${shape.join(', ')}]`,
    run: (x: Parameters<Case['run']>[0]) => (tf[name] as (t: tf.Tensor) => tf.Tensor)(['sqrt', 'rsqrt'].includes(name) ? tf.abs(x(...shape)) : x(...shape)),
  }))),
  ...[[0], [1], [2], [0, 1], [1, 2], [0, 1, 2], [0, 2]].flatMap((axes) => (['sum', 'mean', 'max'] as const).flatMap((name) => [true, false].map((keepDims) => ({
    title: `${name} over axes ${axes.join(', ')}${keepDims ? ', kept' : ''}`,
    run: (x: Parameters<Case['run']>[0]) => tf[name](x(7, 65, 3), axes, keepDims),
  })))),
  { title: 'sum of 300 rows of 1100 columns', run: (x) => tf.mean(x(300, 1100), 0) },
  { title: 'sum of a scalar', run: (x) => tf.sum(tf.reshape(x(1), [])) },
  ...[[0, 1], [1, 0]].map((perm) => ({ title: `transpose ${perm.join()}`, run: (x: Parameters<Case['run']>[0]) => tf.transpose(x(130, 65), perm) })),
  ...[[0, 2, 1, 3], [0, 1, 3, 2], [2, 0, 1, 3], [3, 1, 2, 0], [1, 2, 3, 0], [0, 1, 2, 3]].map((perm) => ({
    title: `transpose ${perm.join()}`, run: (x: Parameters<Case['run']>[0]) => tf.transpose(x(2, 3, 5, 4), perm),
  })),
  { title: 'slice of one axis', run: (x) => tf.slice(x(5, 6, 7), [0, 2, 0], [5, 3, 7]) },
  { title: 'slice of the last axis', run: (x) => tf.slice(x(5, 6, 7), [0, 0, 3], [-1, -1, 4]) },
  { title: 'slice of several axes', run: (x) => tf.slice(x(5, 6, 7), [1, 2, 3], [2, 3, 4]) },
  { title: 'slice of everything', run: (x) => tf.slice(x(5, 6), [0, 0], [5, 6]) },
  { title: 'slice of nothing', run: (x) => tf.slice(x(5, 6), [2, 0], [0, 6]) },
  ...[0, 1, 2, -1].flatMap((axis) => [
    { title: `concat on axis ${axis}`, run: (x: Parameters<Case['run']>[0]) => tf.concat([x(2, 2, 3), x(2, 2, 3), x(2, 2, 3)], axis) },
    { title: `stack on axis ${axis}`, run: (x: Parameters<Case['run']>[0]) => tf.stack([x(4, 3), x(4, 3)], axis) },
    { title: `split on axis ${axis}`, run: (x: Parameters<Case['run']>[0]) => tf.split(x(6, 6, 6), [1, 2, 3], axis) },
    { title: `unstack on axis ${axis}`, run: (x: Parameters<Case['run']>[0]) => tf.unstack(x(4, 3, 5), axis) },
  ]),
  { title: 'concat of different lengths', run: (x) => tf.concat([x(2, 1, 3), x(2, 4, 3)], 1) },
  ...[[1, 1], [3, 65], [2, 5, 130]].map((shape) => ({ title: `softmax of [${shape.join(', ')}]`, run: (x: Parameters<Case['run']>[0]) => tf.softmax(x(...shape)) })),
  { title: 'pad of one axis', run: (x) => tf.pad(x(5, 6, 7), [[0, 0], [2, 3], [0, 0]], -1.5) },
  { title: 'pad of the first axis', run: (x) => tf.pad(x(3, 65), [[1, 0], [0, 0]]) },
  { title: 'pad of the last axis', run: (x) => tf.pad(x(2, 3), [[0, 0], [0, 1]]) },
  { title: 'pad of several axes', run: (x) => tf.pad(x(2, 3), [[1, 2], [0, 1]]) },
  { title: 'pad of nothing by nothing', run: (x) => [tf.pad(x(0, 3), [[2, 0], [0, 0]]), tf.pad(x(2, 3), [[0, 0], [0, 0]])] },
  { title: 'zerosLike, onesLike, fill', run: (x) => [tf.zerosLike(x(65)), tf.onesLike(x(2, 3)), tf.fill([5, 13], -2.5), tf.zeros([3]), tf.ones([2])] },
];

beforeAll(async () => { expect(await useBackend('evenkeel-wasm')).toBeUndefined(); });
afterAll(async () => { await tf.setBackend('cpu'); });

/** The same inputs on either backend: each call of `x` draws the next array. */
async function results(backend: string, run: Case['run']): Promise<{ shape: number[]; values: Float32Array }[]> {
  await tf.setBackend(backend);
  let drawn = 0;
  const before = tf.memory().numTensors;
  const made = tf.tidy(() => run((...shape) => tf.tensor(randomArray(shape.reduce((a, b) => a * b, 1), { seed: 11 + drawn++ }) as Float32Array, shape)));
  const list = Array.isArray(made) ? made : [made];
  expect(tf.memory().numTensors - before).toBe(list.length);
  const read = await Promise.all(list.map(async (t) => ({ shape: t.shape, values: Float32Array.from(await t.data()) })));
  tf.dispose(list);
  return read;
}

describe('tfjs kernels on evenkeel-wasm', () => {
  it.each(cases)('$title agrees with the cpu backend', async ({ run }) => {
    const expected = await results('cpu', run);
    const actual = await results('evenkeel-wasm', run);
    expect(actual.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape));
    for (const [i, { values }] of actual.entries()) await expectClose(values, expected[i]!.values, { rtol: 3e-6, atol: 2e-6 });
  });

  it('exp, tanh, sigmoid, relu and softmax treat infinities and NaN as the cpu backend does', async () => {
    const special = [NaN, Infinity, -Infinity, 100, -100, 88.8, 88.72284, 88.72283, -87.4, -87.3365, 0, -0];
    for (const name of ['exp', 'tanh', 'sigmoid', 'relu', 'abs', 'square', 'step', 'erf'] as const) {
      const value = async (backend: string) => {
        await tf.setBackend(backend);
        return Float32Array.from(await tf.tidy(() => tf[name](tf.tensor1d(special)) as tf.Tensor).data());
      };
      await expectClose(await value('evenkeel-wasm'), await value('cpu'), { rtol: 1e-5, atol: 1e-37 });
    }
  });
});

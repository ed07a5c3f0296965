import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { forEachBackend, randomArray, randomIntegers } from '@evenkeel/testing';
import { dispose, tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { run } from './run.ts';

forEachBackend([GPU_BACKEND], () => {
  it.each([3, 4])('embedding of ids that are no rows gives rows of NaN of %i channels', async (dim) => {
    const inputs = { weight: tensor(randomArray(2 * dim), [2, dim]), ids: tensor([1, -1, 2, 2 ** 31 - 1, 0], [5], 'int32') };
    const [y] = run('embedding', inputs);
    const [weight, values] = [await inputs.weight.data(), await y!.data()];
    const absent = Array<number>(dim).fill(NaN);
    expect([...values]).toEqual([...weight.slice(dim), ...absent, ...absent, ...absent, ...weight.slice(0, dim)]);
    dispose([inputs, y!]);
  });

  it.each([[1, 3, 1], [600, 5, 7], [600, 1, 4], [1000, 97, 1028], [2000, 1500, 2]])(
    'embeddingGrad of %i ids among %i rows of %i channels adds in the order of the ids, and leaves out those that are no rows', async (count, vocabSize, dim) => {
      const ids = randomIntegers(count, vocabSize + 2).map((id) => id - 1);
      const dys = randomArray(count * dim, { seed: 2 });
      const expected = new Float32Array(vocabSize * dim);
      ids.forEach((id, n) => {
        if (id < 0 || id >= vocabSize) return;
        for (let i = 0; i < dim; i++) expected[id * dim + i] = expected[id * dim + i]! + dys[n * dim + i]!; // each sum rounded to float32
      });
      const inputs = { ids: tensor(ids, [count], 'int32'), dy: tensor(dys, [count, dim]) };
      const [dweight] = run('embeddingGrad', inputs, { vocabSize });
      expect([...await dweight!.data()].map((value) => value + 0)).toEqual([...expected].map((value) => value + 0));
      dispose([inputs, dweight!]);
    });
});

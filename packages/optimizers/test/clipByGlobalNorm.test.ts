import { tensor1d, tensor2d, type Tensor } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { clipByGlobalNorm, globalNorm } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free, makeParams, makeTensors } from './helpers.ts';

const makePair = () => ({ a: param(() => tensor1d([0, 0])), b: param(() => tensor2d([[0]])) });

async function clipped(maxNorm: number, a: [number, number], b: number): Promise<number[]> {
  const params = makePair();
  const grads = { a: tensor1d(a), b: tensor2d([[b]]) };
  const updates = clipByGlobalNorm(maxNorm).update(grads, {}, params) as { a: Tensor; b: Tensor };
  const values = [...await updates.a.data(), ...await updates.b.data()];
  free(params, grads, updates);
  return values;
}

forEachBackend(() => {
  it('clipByGlobalNorm(5) scales gradients of norm 13 by 5/13, all leaves alike', async () => {
    await expectClose(await clipped(5, [3, 4], 12), [15 / 13, 20 / 13, 60 / 13]);
  });

  it('clipByGlobalNorm(maxNorm) leaves smaller gradients, and zeros, exactly as they are', async () => {
    expect(await clipped(14, [3, 4], 12)).toEqual([3, 4, 12]);
    expect(await clipped(1, [0, 0], 0)).toEqual([0, 0, 0]);
  });

  it('clipByGlobalNorm(maxNorm) turns all updates into NaN when one gradient is NaN or infinite', async () => {
    expect(await clipped(1, [1, NaN], 2)).toEqual([NaN, NaN, NaN]);
    expect(await clipped(1, [1, 2], -Infinity)).toEqual([NaN, NaN, NaN]);
  });

  it('clipByGlobalNorm(maxNorm) turns all updates into NaN when the norm overflows, never into zeros', async () => {
    expect(await clipped(1, [1, 2], 3e25)).toEqual([NaN, NaN, NaN]);
  });

  it('clipByGlobalNorm(2) brings a whole tree to norm 2 and leaks nothing', async () => {
    const [params, grads] = [makeParams(), makeTensors(3)];
    const optimizer = clipByGlobalNorm(2);
    const updates = optimizer.update(grads, {}, params);
    const norm = globalNorm(updates);
    await expectClose(norm, 2);
    await expectNoLeak(() => optimizer.update(grads, {}, params));
    free(params, grads, updates, norm);
  });
});

it('clipByGlobalNorm(0) says that maxNorm must be positive', () => {
  expect(() => clipByGlobalNorm(0)).toThrow('clipByGlobalNorm: maxNorm must be a positive number, got 0');
});

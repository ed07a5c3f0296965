import { tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { scaleByTree } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';

forEachBackend(() => {
  it('scaleByTree(scales) multiplies each update by its own number, and returns fresh tensors', async () => {
    const params = { a: param(() => tensor1d([1, 2])), b: param(() => tensor1d([3])) };
    const grads = { a: tensor1d([10, 20]), b: tensor1d([5]) };
    const optimizer = scaleByTree({ a: 0.5, b: 0 });
    await expectNoLeak(() => optimizer.update(grads, {}, params));
    const updates = optimizer.update(grads, {}, params) as { a: Tensor; b: Tensor };
    free(grads);
    await expectClose(updates.a, [5, 10]);
    await expectClose(updates.b, [0]);
    free(params, updates);
  });
});

it('scaleByTree(scales) refuses numbers that are no factors', () => {
  expect(() => scaleByTree({ a: -1 })).toThrow('scaleByTree: scales.a must be between 0');
  expect(() => scaleByTree({ a: NaN })).toThrow('got NaN');
});

import { tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { addDecayedWeights } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';

const make = () => ({ a: param(() => tensor1d([1, -2])), b: param(() => tensor1d([3])) });

forEachBackend(() => {
  it('addDecayedWeights({ weightDecay, mask }) adds a share of each masked parameter, and returns fresh tensors', async () => {
    const params = make();
    const grads = { a: tensor1d([10, 10]), b: tensor1d([10]) };
    const optimizer = addDecayedWeights({ weightDecay: 0.5, mask: { a: true, b: false } });
    const updates = optimizer.update(grads, {}, params) as { a: Tensor; b: Tensor };
    free(grads);
    await expectClose(updates.a, [10.5, 9]);
    await expectClose(updates.b, [10]);
    free(updates, params);
  });

  it('addDecayedWeights({ weightDecay }) decays everything without a mask and leaks nothing', async () => {
    const params = make();
    const grads = { a: tensor1d([0, 0]), b: tensor1d([0]) };
    const optimizer = addDecayedWeights({ weightDecay: 1 });
    const updates = optimizer.update(grads, {}, params) as { a: Tensor; b: Tensor };
    await expectClose(updates.b, [3]);
    await expectNoLeak(() => optimizer.update(grads, {}, params));
    free(params, grads, updates);
  });
});

it('addDecayedWeights({ weightDecay: Infinity }) is refused', () => {
  expect(() => addDecayedWeights({ weightDecay: Infinity })).toThrow('addDecayedWeights: weightDecay must be between 0');
});

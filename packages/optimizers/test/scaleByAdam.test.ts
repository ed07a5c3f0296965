import { tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { scaleByAdam } from '@evenkeel/optimizers';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';

forEachBackend(() => {
  it('scaleByAdam() gives the sign of the gradient in the first step, whatever its size', async () => {
    const params = { weight: param(() => tensor1d([5, 5, 5, 5])) };
    const grads = { weight: tensor1d([1e-3, -2, 300, 0]) };
    const optimizer = scaleByAdam();
    const state = optimizer.init(params);
    const updates = optimizer.update(grads, state, params) as { weight: Tensor };
    await expectClose(updates.weight, [1, -1, 1, 0], { rtol: 2e-5 });
    expect(state.count).toBe(1);
    free(params, grads, updates, state);
  });

  it('scaleByAdam() gives the same updates for gradients scaled by a constant', async () => {
    const params = { weight: param(() => tensor1d([0, 0, 0])) };
    const optimizer = scaleByAdam({ eps: 1e-20 });
    const [state, scaledState] = [optimizer.init(params), optimizer.init(params)];
    for (const values of [[1, -2, 3], [0.5, 4, -1], [2, 2, 2]]) {
      const [grads, scaled] = [{ weight: tensor1d(values) }, { weight: tensor1d(values.map((value) => value * 1024)) }];
      const updates = optimizer.update(grads, state, params) as { weight: Tensor };
      const scaledUpdates = optimizer.update(scaled, scaledState, params) as { weight: Tensor };
      await expectClose(scaledUpdates.weight, updates.weight);
      free(grads, scaled, updates, scaledUpdates);
    }
    free(params, state, scaledState);
  });
});

it('scaleByAdam(options) out of range names the option', () => {
  expect(() => scaleByAdam({ beta1: 1.2 })).toThrow('scaleByAdam: beta1 must be in [0, 1), got 1.2');
  expect(() => scaleByAdam({ eps: -1 })).toThrow('scaleByAdam: eps must be a positive number, got -1');
});

import { tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { scaleByLearningRate } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';

forEachBackend(() => {
  it('scaleByLearningRate(schedule) descends by the rate of each step, counted from 0', async () => {
    const params = { weight: param(() => tensor1d([0, 0])) };
    const grads = { weight: tensor1d([1, -2]) };
    const optimizer = scaleByLearningRate((step) => [0.5, 0.25][step] ?? 0);
    const state = optimizer.init(params);
    for (const expected of [[-0.5, 1], [-0.25, 0.5]]) {
      const updates = optimizer.update(grads, state, params) as { weight: Tensor };
      await expectClose(updates.weight, expected);
      free(updates);
    }
    expect(state).toEqual({ count: 2 });
    free(params, grads);
  });

  it('scaleByLearningRate(schedule) names the step at which the schedule is not a rate, and leaks nothing', async () => {
    const params = { weight: param(() => tensor1d([0])) };
    const grads = { weight: tensor1d([1]) };
    const optimizer = scaleByLearningRate(() => -1);
    await expectNoLeak(() => optimizer.update(grads, { count: 7 }, params), {
      throws: 'scaleByLearningRate: learningRate at step 7 must be a finite number ≥ 0, got -1',
    });
    free(params, grads);
  });
});

it('scaleByLearningRate(Infinity) is refused at once', () => {
  expect(() => scaleByLearningRate(Infinity)).toThrow('scaleByLearningRate: learningRate must be a finite number ≥ 0, got Infinity');
});

import { tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { lion } from '@evenkeel/optimizers';
import { forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';
import { blocks, expectSame, moment, run, run64 } from './trajectory.ts';

forEachBackend(() => {
  it('lion() follows the algorithm in float64', async () => {
    const [start, grads] = [blocks(1), [2, 3, 4, 5, 6].map((seed) => blocks(seed))];
    const [eta, beta1, beta2, lambda] = [0.02, 0.8, 0.95, 0.4];
    const expected = run64(({ p, g, memory }) => {
      const m = moment(memory, 'm', p.length);
      p.forEach((_, i) => {
        const ahead = beta1 * m[i]! + (1 - beta1) * g[i]!;
        p[i]! -= eta * (Math.sign(ahead) + lambda * p[i]!);
        m[i] = beta2 * m[i]! + (1 - beta2) * g[i]!;
      });
    }, start, grads);
    await expectSame(await run(lion({ learningRate: eta, beta1, beta2, weightDecay: lambda }), start, grads), expected);
  });

  it('lion() moves by the learning rate whatever the size of the gradient, not at all for 0, and passes NaN on to its own element', async () => {
    const params = { weight: param(() => tensor1d([5, 5, 5, 5, 5])) };
    const grads = { weight: tensor1d([1e-20, -300, 0, NaN, Infinity]) };
    const optimizer = lion({ learningRate: 0.25 });
    const state = optimizer.init(params);
    const updates = optimizer.update(grads, state, params) as { weight: Tensor };
    expect([...await updates.weight.data()].map((value) => value + 0)).toEqual([-0.25, 0.25, 0, NaN, -0.25]);
    free(params, grads, state, updates);
  });
});

it('lion(options) out of range names the option', () => {
  expect(() => lion({ learningRate: 1, beta1: 1 })).toThrow('lion: beta1 must be in [0, 1), got 1');
  expect(() => lion({ learningRate: 1, beta2: -1 })).toThrow('lion: beta2 must be in [0, 1), got -1');
});

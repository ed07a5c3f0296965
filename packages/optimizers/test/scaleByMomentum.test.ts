import { tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { scaleByMomentum } from '@evenkeel/optimizers';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';

async function updatesFor(nesterov: boolean): Promise<number[]> {
  const params = { weight: param(() => tensor1d([0])) };
  const optimizer = scaleByMomentum({ momentum: 0.5, nesterov });
  const state = optimizer.init(params);
  const seen: number[] = [];
  for (const value of [8, 4, 0]) {
    const grads = { weight: tensor1d([value]) };
    const updates = optimizer.update(grads, state, params) as { weight: Tensor };
    seen.push((await updates.weight.data())[0]!);
    free(grads, updates);
  }
  free(params, state);
  return seen;
}

forEachBackend(() => {
  it('scaleByMomentum() sums gradients with a decay', async () => {
    await expectClose(await updatesFor(false), [8, 8, 4]);
  });

  it('scaleByMomentum({ nesterov: true }) looks one step ahead', async () => {
    await expectClose(await updatesFor(true), [12, 8, 2]);
  });
});

it('scaleByMomentum({ momentum: 1 }) says that the sum would not decay', () => {
  expect(() => scaleByMomentum({ momentum: 1 })).toThrow('scaleByMomentum: momentum must be in [0, 1), got 1');
});

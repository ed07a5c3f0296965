import { memory, scalar, sum, tidy, zeros } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { sgd } from '@evenkeel/optimizers';
import { train } from '@evenkeel/training';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';

it('train(options) counts the peak of memory also within a step, and leaves tfjs counting as before', async () => {
  const params = { weight: param(() => scalar(1)) };
  const before = memory().numBytes;
  const { peakBytes } = await train({
    params, steps: 2, seed: 0, optimizer: sgd({ learningRate: 0.1 }), batches: () => ({}),
    loss: (p) => {
      tidy(() => void zeros([1000, 250]));
      return sum(p.weight);
    },
  });
  expect(peakBytes).toBeGreaterThanOrEqual(before + 1_000_000);
  expect(peakBytes).toBeLessThan(before + 1_000_500);
  const more = zeros([10]);
  expect(memory().numBytes).toBe(before + 40);
  free(params, more);
});

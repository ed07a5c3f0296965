import { memory } from '@tensorflow/tfjs-core';
import { train } from '@evenkeel/training';
import { forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { makeParams, tinyRun } from './fixtures/tinyRun.ts';
import { free } from './helpers.ts';

forEachBackend(['evenkeel-wasm'], () => {
  it('train holds as many tensors and as much memory at each of 500 steps as at step 10', async () => {
    const params = makeParams();
    const counts = new Set<string>();
    await train(tinyRun(params, {
      steps: 500,
      callbacks: {
        onStep: ({ step }) => {
          const { numTensors, heapBytes, bytesInUse } = memory() as { numTensors: number; heapBytes?: number; bytesInUse?: number };
          if (step >= 10) counts.add(`${numTensors} tensors, ${bytesInUse} of ${heapBytes} bytes`);
        },
      },
    }));
    free(params);
    expect([...counts]).toHaveLength(1);
  });
});

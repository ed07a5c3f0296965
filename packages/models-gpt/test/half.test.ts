import { foldSeed, GPU_BACKEND, uniformValues, useDevice } from '@evenkeel/core-tensor';
import { gpt } from '@evenkeel/models-gpt';
import { adamw } from '@evenkeel/optimizers';
import { forEachBackend } from '@evenkeel/testing';
import { train } from '@evenkeel/training';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { dispose, setBackend, tensor2d, type Tensor2D } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

const [VOCAB, ROWS, LENGTH, STEPS] = [23, 8, 24, 300];

/** Walks that step on by 1 three times out of four and jump otherwise: a loss that falls, and stays above zero. */
function walks(step: number): { inputs: Tensor2D; targets: Tensor2D } {
  const draws = uniformValues(ROWS * (LENGTH + 1), foldSeed(7, 'walk', step));
  const tokens = new Int32Array(draws.length);
  draws.forEach((draw, i) => { tokens[i] = i % (LENGTH + 1) === 0 || draw > 0.75 ? Math.floor(draw * 997) % VOCAB : (tokens[i - 1]! + 1) % VOCAB; });
  const part = (offset: number) => tensor2d(Int32Array.from({ length: ROWS * LENGTH }, (_, i) => tokens[Math.floor(i / LENGTH) * (LENGTH + 1) + (i % LENGTH) + offset]!), [ROWS, LENGTH], 'int32');
  return { inputs: part(0), targets: part(1) };
}

async function lossAfter(precision: 'f32' | 'f16'): Promise<number> {
  await setBackend('cpu');
  await useDevice('webgpu', [webgpu({ precision })]);
  const model = gpt({ vocabSize: VOCAB, contextLength: LENGTH, depth: 2, dim: 32, numHeads: 2 });
  const params = model.init({ seed: 5 });
  const { trainLoss } = await train({
    params, steps: STEPS, seed: 1, batches: walks, optimizer: adamw({ learningRate: 3e-3 }), ...(precision === 'f16' && { lossScale: 'dynamic' as const }),
    loss: (leaves, batch, { seed }) => model.loss(batch, leaves as never, { train: true, seed }),
  });
  dispose(params as never);
  return trainLoss;
}

forEachBackend([GPU_BACKEND], () => {
  it('300 steps with products in f16 and a loss scale end within 1 % of the loss of f32', async () => {
    const [full, half] = [await lossAfter('f32'), await lossAfter('f16')];
    expect(full).toBeLessThan(2);
    expect(half).not.toBe(full);
    expect(Math.abs(half - full) / full).toBeLessThan(0.01);
    await setBackend('cpu');
    await useDevice('webgpu', [webgpu()]);
  }, 300_000);
});

/** A state is changed wholly or not at all, also where the memory does not suffice for the updates. */
import { fill, setBackend, type Variable } from '@tensorflow/tfjs-core';
import { param, type GradientTransform, type OptimizerState } from '@evenkeel/core-tensor';
import { adamw, lars, lion, scaleByMomentum, sgdSai } from '@evenkeel/optimizers';
import { expectNoLeak } from '@evenkeel/testing';
import { BACKEND_NAME, createWasmBackend } from '@evenkeel/wasm-kernels';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';

const MIB = 2 ** 20;
const SIZE = MIB; // 4 MiB

const optimizers: Record<string, GradientTransform> = {
  adamw: adamw({ learningRate: 1 }),
  lion: lion({ learningRate: 1 }),
  sgdSai: sgdSai({ learningRate: 1 }),
  lars: lars({ learningRate: 1 }),
  'scaleByMomentum with Nesterov': scaleByMomentum({ nesterov: true }),
};

it.each(Object.entries(optimizers))('%s changes no moment when its updates do not fit into memory, and goes on when they do', async (_, optimizer) => {
  const backend = await createWasmBackend({ threads: 1, maxMemoryBytes: 64 * MIB });
  await setBackend(BACKEND_NAME);
  const { heap } = backend.runtime;
  const params = { weight: param(() => fill([SIZE], 1)) };
  const state = optimizer.init(params) as OptimizerState & { mu: { weight: Variable } };
  const [grads, others] = [{ weight: fill([SIZE], 2) }, { weight: fill([SIZE], 3) }];
  free(optimizer.update(grads, state, params));
  const before = (await state.mu.weight.data())[0];

  const blocks = [];
  for (let size = 4 * SIZE; size >= MIB; size /= 2) {
    try {
      for (;;) blocks.push(heap.allocate(size));
    } catch {
      // no room for a block of this size
    }
  }
  await expectNoLeak(() => optimizer.update(grads, state, params), { throws: /memory must stay below/ });
  expect((await state.mu.weight.data())[0]).toBe(before);

  for (const block of blocks) heap.free(block);
  free(optimizer.update(others, state, params));
  expect((await state.mu.weight.data())[0]).not.toBe(before);
  free(params, grads, others, state);
  await setBackend('cpu');
  backend.dispose();
});

import { param, treeMap2, valueAndGrad, type GradientMethod, type Tree } from '@evenkeel/core-tensor';
import { sgd } from '@evenkeel/optimizers';
import { train } from '@evenkeel/training';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { add, dispose, mul, square, sum, tensor1d, tidy, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { makeParams, tinyRun } from './fixtures/tinyRun.ts';
import { free, runTiny } from './helpers.ts';

/** The gradient a step of `rho` times the gradient further up: two evaluations of the loss. */
const further = (rho: number): GradientMethod => (fn, params) => tidy((): TensorContainer => {
  const here = valueAndGrad(fn, params);
  const there = treeMap2((p: Tensor, g: Tensor) => add(p, mul(g, rho)), params as Tree<Tensor>, here.grads as Tree<Tensor>);
  return { value: here.value, grads: valueAndGrad(fn, there as typeof params).grads as TensorContainer };
}) as unknown as ReturnType<GradientMethod>;

forEachBackend(() => {
  it('train({ gradient }) takes the gradient from the method, and the loss at the parameters', async () => {
    const params = { weight: param(() => tensor1d([3, -2])) };
    const losses: number[] = [];
    await train({
      params, steps: 6, seed: 0, optimizer: sgd({ learningRate: 0.1 }), gradient: further(0.25), batches: () => tensor1d([1, 2]),
      loss: (p: { weight: Variable }, batch: Tensor) => sum(mul(batch, square(p.weight))),
      callbacks: { onStep: ({ loss }) => void losses.push(loss) },
    });
    // Gradient 2cw at w + ρ·2cw: w shrinks by 1 − 0.1·2c·(1 + 2ρc) each step.
    const after = (steps: number): number[] => [3 * (1 - 0.2 * 1.5) ** steps, -2 * (1 - 0.4 * 2) ** steps];
    await expectClose(await params.weight.data<'float32'>(), Float32Array.from(after(6)), { rtol: 1e-5, atol: 1e-6 });
    await expectClose(Float32Array.from(losses), Float32Array.from(losses, (_, step) => after(step)[0]! ** 2 + 2 * after(step)[1]! ** 2), { rtol: 1e-5, atol: 1e-6 });
    dispose(params as TensorContainer);
  });
});

it('train({ gradient: valueAndGrad }) is the default', async () => {
  const [given, left] = [await runTiny({ gradient: valueAndGrad, steps: 5 }), await runTiny({ steps: 5 })];
  expect(given.values).toEqual(left.values);
});

it('train({ gradient }) must be a function', async () => {
  const params = makeParams();
  await expect(train(tinyRun(params, { gradient: 3 as never }))).rejects.toThrow('train: gradient must be a function such as valueAndGrad or sam({ rho: 0.05 }), got number');
  free(params);
});

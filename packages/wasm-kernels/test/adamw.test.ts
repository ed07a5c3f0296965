import { engine, fill, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { describeVariants } from './variants.ts';

const ATTRS = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, correction1: 1, correction2: 1 };
const SMALLEST_NORMAL = 2 ** -126;

describeVariants(() => {
  it('evenkeel/adamw lets the moments of a zero gradient decay to zero, not to denormal numbers, which are slow', async () => {
    let [mu, nu] = [fill([7], -1.5e-38), fill([7], 1.18e-38)] as [Tensor, Tensor];
    for (let step = 0; step < 5; step++) {
      [, mu, nu] = engine().runKernel('evenkeel/adamw', { param: fill([7], 1), grad: fill([7], 0), mu, nu }, ATTRS) as unknown as [Tensor, Tensor, Tensor];
      for (const value of [...await mu.data(), ...await nu.data()]) expect(value === 0 || Math.abs(value) >= SMALLEST_NORMAL).toBe(true);
    }
    expect([...await mu.data()].map(Math.abs)).toEqual(Array(7).fill(0));
  });
});

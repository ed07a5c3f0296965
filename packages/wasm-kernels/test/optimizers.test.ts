import { engine, fill } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { describeVariants } from './variants.ts';

const ATTRS = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecays: [0], correction1: 1, correction2: 1 };
const SMALLEST_NORMAL = 2 ** -126;

describeVariants(() => {
  it('evenkeel/adamw lets the moments of a zero gradient decay to zero, not to denormal numbers, which are slow', async () => {
    const [mu, nu] = [fill([7], -1.5e-38), fill([7], 1.18e-38)];
    for (let step = 0; step < 5; step++) {
      engine().runKernel('evenkeel/adamw', { 'param.0': fill([7], 1), 'grad.0': fill([7], 0), 'mu.0': mu, 'nu.0': nu }, ATTRS);
      for (const value of [...await mu.data(), ...await nu.data()]) expect(value === 0 || Math.abs(value) >= SMALLEST_NORMAL).toBe(true);
    }
    expect([...await mu.data()].map(Math.abs)).toEqual(Array(7).fill(0));
  });
});

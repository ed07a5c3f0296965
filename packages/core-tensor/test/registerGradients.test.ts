import type { Tensor } from '@tensorflow/tfjs-core';
import { valueAndGrad } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { derivativeError, REPAIRED, type GradOf } from './repaired.ts';

const gradOf: GradOf = (f) => (x) => valueAndGrad((at: { x: Tensor }) => f(at.x), { x }).grads.x;

forEachBackend(['cpu', 'evenkeel-wasm'], () => {
  it.each(REPAIRED)('$name of order $order has the derivatives of finite differences', (each) => {
    expect(derivativeError(each, gradOf)).toBeLessThan(1e-2);
  });
});

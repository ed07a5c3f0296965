import { tensor1d } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { sgd } from '@evenkeel/optimizers';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free, step } from './helpers.ts';

forEachBackend(() => {
  it('sgd({ learningRate, weightDecay, mask }) steps against gradient plus penalty where the mask is true', async () => {
    const params = { a: param(() => tensor1d([1])), b: param(() => tensor1d([1])) };
    const grads = { a: tensor1d([2]), b: tensor1d([2]) };
    const optimizer = sgd({ learningRate: 0.1, weightDecay: 0.5, mask: { a: true, b: false } });
    const state = optimizer.init(params);
    step(optimizer, grads, state, params);
    await expectClose(params.a, [0.75]);
    await expectClose(params.b, [0.8]);
    free(params, grads, state);
  });
});

it('sgd(options) contains only the links it needs', () => {
  const params = { a: param(() => tensor1d([1])) };
  expect(sgd({ learningRate: 1 }).init(params).links).toHaveLength(1);
  const full = sgd({ learningRate: 1, momentum: 0.9, weightDecay: 0.1 }).init(params);
  expect(full.links).toHaveLength(3);
  free(params, full);
});

it('sgd(options) out of range names the option', () => {
  expect(() => sgd({ learningRate: -1 })).toThrow('learningRate must be a finite number ≥ 0, got -1');
  expect(() => sgd({ learningRate: 1, momentum: 1 })).toThrow('sgd: momentum must be in [0, 1), got 1');
  expect(() => sgd({ learningRate: 1, momentum: NaN })).toThrow('sgd: momentum must be in [0, 1), got NaN');
  expect(() => sgd({ learningRate: 1, nesterov: true })).toThrow('sgd: momentum must be positive with nesterov, got 0');
  expect(() => sgd({ learningRate: 1, weightDecay: -0.1 })).toThrow('sgd: weightDecay must be between 0');
});

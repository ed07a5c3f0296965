import { tensor1d, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { param, type GradientTransform, type Tree } from '@evenkeel/core-tensor';
import { partition, scaleByLearningRate, sgd, sgdSai } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free, snapshot, step } from './helpers.ts';

const make = (): Tree<Variable> => ({ a: param(() => tensor1d([1, 2])), deep: [{ b: param(() => tensor1d([3])) }, { c: param(() => tensor1d([4])) }] });
const makeGrads = (): Tree<Tensor> => ({ a: tensor1d([1, 1]), deep: [{ b: tensor1d([1]) }, { c: tensor1d([1]) }] });
const rate = (learningRate: number) => sgd({ learningRate });

forEachBackend(() => {
  it('partition(groups, optimizers) lets each optimizer see its own parameters and no others', async () => {
    const seen: string[][] = [];
    const watching = { ...rate(0.5), init: (params: object) => { seen.push(Object.keys(params)); return rate(0.5).init(params as never); } } as GradientTransform;
    const [params, grads] = [make(), makeGrads()];
    const optimizer = partition({ a: 'slow', deep: [{ b: 'fast' }, { c: 'slow' }] }, { slow: rate(0.5), fast: rate(10), unused: watching });
    const state = optimizer.init(params);
    expect(Object.keys(state.groups)).toEqual(['slow', 'fast']);
    expect(seen).toEqual([]);
    step(optimizer, grads, state, params);
    expect(Object.values(await snapshot(params)).flat()).toEqual([0.5, 1.5, -7, 3.5]);
    free(params, grads, state);
  });

  it('partition(groups, optimizers) adds exactly its updates to the tensors alive', async () => {
    const [params, grads] = [make(), makeGrads()];
    const optimizer = partition({ a: 'x', deep: [{ b: 'y' }, { c: 'x' }] }, { x: rate(1), y: sgdSai({ learningRate: 1 }) });
    const state = optimizer.init(params);
    await expectNoLeak(() => optimizer.update(grads, state, params));
    const updates = optimizer.update(grads, state, params) as { a: Tensor };
    await expectClose(updates.a, [-1, -1]);
    free(params, grads, state, updates);
  });
});

it('partition(groups, optimizers) names groups without optimizer, parameters without group, and states of other optimizers', () => {
  const optimizers = { x: rate(1) };
  expect(() => partition({ a: 'y' }, optimizers)).toThrow('partition: groups.a must be one of x, got y');
  const [params, grads] = [make(), makeGrads()];
  expect(() => partition({ a: 'x' }, optimizers).init(params)).toThrow('partition: groups must have a leaf for deep.0.b, got 1 others');
  const optimizer = partition({ a: 'x', deep: [{ b: 'x' }, { c: 'x' }] }, optimizers);
  expect(() => optimizer.update(grads, { groups: { other: scaleByLearningRate(1).init(params) } }, params))
    .toThrow('partition: state must have the group x, got other. Was it made by this optimizer\'s init?');
  expect(() => optimizer.update({ a: (grads as { a: Tensor }).a }, optimizer.init(params), params)).toThrow('partition: grads must have a leaf for deep.0.b, got 1 others');
  free(params, grads);
});

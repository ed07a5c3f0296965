import { memory, mul, tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { param, treeMap, type GradientTransform } from '@evenkeel/core-tensor';
import { addDecayedWeights, chain, scaleByAdam, scaleByLearningRate, scaleByMomentum } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free, makeParams, makeTensors } from './helpers.ts';

it('chain(a, b) gives b the updates of a', async () => {
  const params = { weight: param(() => tensor1d([1, 2])) };
  const grads = { weight: tensor1d([10, 20]) };
  const optimizer = chain(addDecayedWeights({ weightDecay: 3 }), scaleByLearningRate(0.5));
  const state = optimizer.init(params);
  const updates = optimizer.update(grads, state, params) as { weight: Tensor };
  await expectClose(updates.weight, [-6.5, -13]);
  free(params, grads, updates, state);
});

it('chain(...links) keeps one state per link, also nested', () => {
  const params = { weight: param(() => tensor1d([1, 2])) };
  const state = chain(scaleByMomentum(), chain(scaleByAdam(), scaleByLearningRate(1))).init(params);
  expect(Object.keys(state.links[0] as object)).toEqual(['mu']);
  expect(state.links[1]).toMatchObject({ links: [{ count: 0 }, { count: 0 }] });
  free(params, state);
});

it('chain(...links) frees the output of each link once the next has read it', () => {
  const [params, grads] = [makeParams(), makeTensors(2)];
  const alive: number[] = [];
  const probe: GradientTransform = {
    init: () => ({}),
    update: (tree) => { alive.push(memory().numTensors); return treeMap((leaf: Tensor) => mul(leaf, 2), tree); },
  };
  const optimizer = chain(probe, probe, probe, probe);
  free(optimizer.update(grads, optimizer.init(params), params));
  // The second link runs with one set of updates alive, and so do the later ones.
  expect(alive.slice(2)).toEqual([alive[1], alive[1]]);
  free(params, grads);
});

it('chain(...links) leaks nothing when a link throws', async () => {
  const [params, grads] = [makeParams(), makeTensors(2)];
  const broken: GradientTransform = { init: () => ({}), update: () => { throw new Error('broken link'); } };
  const optimizer = chain(addDecayedWeights({ weightDecay: 1 }), scaleByLearningRate(1), broken);
  const state = optimizer.init(params);
  await expectNoLeak(() => optimizer.update(grads, state, params), { throws: 'broken link' });
  free(params, grads, state);
});

it('chain() without links and a foreign state say what is wrong', () => {
  expect(() => chain()).toThrow('chain: links must have at least one transform, got none');
  const [params, grads] = [makeParams(), makeTensors(2)];
  const [one, two] = [chain(scaleByLearningRate(1)), chain(scaleByLearningRate(1), scaleByLearningRate(1))];
  expect(() => two.update(grads, one.init(params), params)).toThrow('chain: state must have the states of 2 links, got 1');
  free(params, grads);
});

import { memory, mul, square, sub, sum, tensor, zerosLike, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { treeEntries, treeMap, treeMap2, type GradientTransform, type OptimizerState, type Tree } from '@evenkeel/core-tensor';
import {
  addDecayedWeights, adamw, chain, clipByGlobalNorm, cosine, decayMask, lossScaling, scaleByAdam, scaleByLearningRate, scaleByMomentum, sgd, wsd,
} from '@evenkeel/optimizers';
import { expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { free, lossAndGrads, makeParams, makeTensors, snapshot, specs, step } from './helpers.ts';

type Row = {
  make: (options: { weightDecay: number }) => GradientTransform;
  /** Step at which the quadratic must be solved. */
  steps: number;
};

const mask = decayMask(specs);

/** One row per optimizer: a new one added here inherits every test below. */
const optimizers: Record<string, Row> = {
  adamw: { steps: 150, make: ({ weightDecay }) => adamw({ learningRate: 0.1, weightDecay }) },
  'adamw with a mask and a schedule': {
    steps: 150, make: ({ weightDecay }) => adamw({ learningRate: cosine({ peak: 0.2, steps: 150, warmup: 10 }), beta2: 0.95, weightDecay, mask }),
  },
  'adamw by hand': {
    steps: 150, make: ({ weightDecay }) => chain(scaleByAdam(), addDecayedWeights({ weightDecay }), scaleByLearningRate(0.1)),
  },
  'clipped adamw': { steps: 150, make: ({ weightDecay }) => chain(clipByGlobalNorm(1), adamw({ learningRate: 0.1, weightDecay })) },
  'adamw with a loss scale': { steps: 150, make: ({ weightDecay }) => lossScaling(adamw({ learningRate: 0.1, weightDecay }), { initial: 1 }) as unknown as GradientTransform },
  sgd: { steps: 60, make: ({ weightDecay }) => sgd({ learningRate: 0.2, weightDecay }) },
  'sgd with momentum': { steps: 150, make: ({ weightDecay }) => sgd({ learningRate: 0.05, momentum: 0.9, weightDecay, mask }) },
  'sgd with Nesterov momentum': {
    steps: 150, make: ({ weightDecay }) => sgd({ learningRate: wsd({ peak: 0.05, steps: 150, warmup: 5 }), momentum: 0.9, nesterov: true, weightDecay }),
  },
  'clipped sgd': {
    steps: 150, make: ({ weightDecay }) => chain(clipByGlobalNorm(10), addDecayedWeights({ weightDecay }), scaleByMomentum(), scaleByLearningRate(0.05)),
  },
};

/** Σ c·(p − target)², with curvatures between 0.5 and 2. */
const quadratic = (target: Tree<Tensor>) => (params: Tree<Variable>): Tensor => {
  const terms = treeEntries<Tensor>(treeMap2((p: Variable, t: Tensor) => sum(mul(square(sub(p, t)), t.size > 60 ? 0.5 : 2)), params, target));
  return terms.map(([, term]) => term).reduce((a, b) => sum(sub(a, mul(b, -1))));
};

forEachBackend(() => {
  describe.each(Object.entries(optimizers))('%s', (_, { make, steps }) => {
    it('update(grads, state, params) converges on a quadratic', async () => {
      const [params, target] = [makeParams(), makeTensors(2)];
      const optimizer = make({ weightDecay: 0 });
      const state = optimizer.init(params);
      const losses: number[] = [];
      for (let i = 0; i < steps; i++) {
        const { value, grads } = lossAndGrads(quadratic(target), params);
        step(optimizer, grads, state, params);
        if (i === 0 || i === steps - 1) losses.push((await value.data())[0] as number);
        free(value, grads);
      }
      expect(losses[1]).toBeLessThan((losses[0] as number) * 2e-3);
      free(params, target, state);
    });

    it('update(grads, state, params) returns one float32 tensor of each parameter\'s shape and changes no parameter', async () => {
      const [params, grads] = [makeParams(), makeTensors(3)];
      const optimizer = make({ weightDecay: 0.1 });
      const state = optimizer.init(params);
      const before = await snapshot([params, grads]);
      const updates = optimizer.update(grads, state, params);
      treeMap2((update: Tensor, { shape }: { shape: readonly number[] }) => {
        expect(update.shape).toEqual(shape);
        expect(update.dtype).toBe('float32');
      }, updates, treeMap((p: Variable) => ({ shape: p.shape, role: 'hidden', axes: '' }), params));
      expect(await snapshot([params, grads])).toEqual(before);
      free(params, grads, updates, state);
    });

    it('update(zeros, state, params) leaves the parameters where they are', async () => {
      const params = makeParams();
      const optimizer = make({ weightDecay: 0 });
      const state = optimizer.init(params);
      const before = await snapshot(params);
      const zeros = treeMap<Variable, Tensor>((p) => zerosLike(p), params);
      for (let i = 0; i < 3; i++) step(optimizer, zeros, state, params);
      expect(await snapshot(params)).toEqual(before);
      free(params, zeros, state);
    });

    it('init(params) makes a state that survives saving and loading by path, bit for bit', async () => {
      const optimizer = make({ weightDecay: 0.1 });
      const params = makeParams();
      const state = optimizer.init(params);
      for (let i = 0; i < 3; i++) stepWith(optimizer, i, state, params);
      const saved = await snapshot({ params, state });

      const [loadedParams, fresh] = [makeParams(9), makeParams(9)];
      const loadedState = restore('state', optimizer.init(fresh), saved) as OptimizerState;
      restore('params', loadedParams, saved);
      for (let i = 3; i < 6; i++) {
        stepWith(optimizer, i, state, params);
        stepWith(optimizer, i, loadedState, loadedParams);
      }
      expect(await snapshot({ params: loadedParams, state: loadedState })).toEqual(await snapshot({ params, state }));
      free(params, state, fresh, loadedParams, loadedState);
    });

    it('update(grads, state, params) leaks nothing over 100 steps', async () => {
      await expectNoLeak(() => {
        const params = makeParams();
        const optimizer = make({ weightDecay: 0.1 });
        const state = optimizer.init(params);
        stepWith(optimizer, 0, state, params);
        const { numTensors, numBytes } = memory();
        for (let i = 1; i < 100; i++) stepWith(optimizer, i, state, params);
        expect([memory().numTensors, memory().numBytes]).toEqual([numTensors, numBytes]);
        free(params, state);
      });
    });

    it('update(grads, state, params) with a gradient of another shape throws, leaks nothing and leaves the state as it was', async () => {
      const params = makeParams();
      const grads = { ...(makeTensors(3) as Record<string, Tree<Tensor>>), gain: tensor([1, 2, 3]) };
      const optimizer = make({ weightDecay: 0.1 });
      const state = optimizer.init(params);
      const before = await snapshot({ params, state });
      await expectNoLeak(() => optimizer.update(grads, state, params), { throws: /grads\.gain must have shape \[\], got \[3\]/ });
      expect(await snapshot({ params, state })).toEqual(before);
      free(params, grads, state);
    });
  });
});

function stepWith(optimizer: GradientTransform, seed: number, state: OptimizerState, params: Tree<Variable>): void {
  const grads = makeTensors(100 + seed);
  step(optimizer, grads, state, params);
  free(grads);
}

/** What a checkpoint does: numbers replaced, variables assigned. */
function restore(root: string, tree: Tree<unknown> | OptimizerState, saved: Record<string, number | number[]>): Tree<unknown> {
  return treeMap<unknown, unknown>((leaf, path) => {
    const value = saved[`${root}.${path}`];
    if (typeof value === 'number') return value;
    const values = tensor(value as number[], (leaf as Variable).shape, 'float32');
    (leaf as Variable).assign(values);
    values.dispose();
    return leaf;
  }, tree as Tree<unknown>);
}

import { memory, mul, square, sub, sum, tensor, tidy, zerosLike, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { captureStep, GPU_BACKEND, treeEntries, treeMap, treeMap2, type GradientTransform, type OptimizerState, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import {
  adafactor, addDecayedWeights, adamw, applyUpdates, chain, clipByGlobalNorm, cosine, decayMask, globalNorm, inverseSqrt, lamb, lars, linearDecay, lion, lossScaling,
  muon, partition, polynomialDecay, scaleByAdam, scaleByLearningRate, scaleByMomentum, scaleByTree, sgd, sgdSai, wsd, type AdamwOptions,
} from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { free, lossAndGrads, makeParams, makeTensors, snapshot, specs, step } from './helpers.ts';

type Row = {
  make: (options: { weightDecay: number }) => GradientTransform;
  /** Step at which the quadratic must be solved. */
  steps: number;
};

const mask = decayMask(specs);
const scales = treeMap<ParamSpec, number>(({ role }) => (role === 'hidden' ? 0.5 : 1), specs);
const falling = (peak: number) => cosine({ peak, steps: 150, warmup: 5 });

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
  'adamw with a loss scale': { steps: 150, make: ({ weightDecay }) => lossScaling(adamw({ learningRate: 0.1, weightDecay }), { initial: 1 }) },
  sgd: { steps: 60, make: ({ weightDecay }) => sgd({ learningRate: 0.2, weightDecay }) },
  'sgd with momentum': { steps: 150, make: ({ weightDecay }) => sgd({ learningRate: 0.05, momentum: 0.9, weightDecay, mask }) },
  'sgd with Nesterov momentum': {
    steps: 150, make: ({ weightDecay }) => sgd({ learningRate: wsd({ peak: 0.05, steps: 150, warmup: 5 }), momentum: 0.9, nesterov: true, weightDecay }),
  },
  'clipped sgd': {
    steps: 150, make: ({ weightDecay }) => chain(clipByGlobalNorm(10), addDecayedWeights({ weightDecay }), scaleByMomentum(), scaleByLearningRate(0.05)),
  },
  'adamw with independent decay': {
    steps: 150, make: ({ weightDecay }) => adamw({ learningRate: linearDecay({ peak: 0.2, steps: 150, warmup: 5 }), weightDecay, weightDecayMode: 'independent', mask, learningRateScales: scales }),
  },
  'sgdSai': { steps: 150, make: ({ weightDecay }) => sgdSai({ learningRate: falling(1.5), weightDecay, mask, learningRateScales: scales }) },
  'sgdSai as in its code': { steps: 150, make: ({ weightDecay }) => sgdSai({ learningRate: 0.02, normalize: 'none', variance: 'sample', weightDecay }) },
  'lion': { steps: 150, make: ({ weightDecay }) => lion({ learningRate: falling(0.2), weightDecay, mask, learningRateScales: scales }) },
  'lars': { steps: 150, make: ({ weightDecay }) => lars({ learningRate: polynomialDecay({ peak: 0.05, steps: 150 }), trustCoefficient: 0.5, weightDecay, mask, learningRateScales: scales }) },
  'lars with Nesterov momentum, by role': { steps: 150, make: ({ weightDecay }) => lars({ learningRate: falling(0.05), nesterov: true, trustCoefficient: 0.5, weightDecay, adapt: mask }) },
  'lamb': { steps: 150, make: ({ weightDecay }) => lamb({ learningRate: falling(0.15), weightDecay, mask, learningRateScales: scales }) },
  'adafactor': { steps: 150, make: ({ weightDecay }) => adafactor({ learningRate: falling(0.2), minDim: 3, weightDecay, mask, learningRateScales: scales }) },
  'adafactor without relative steps': { steps: 150, make: ({ weightDecay }) => adafactor({ learningRate: inverseSqrt({ peak: 0.3, warmup: 5 }), relative: false, weightDecay }) },
  'muon': { steps: 150, make: ({ weightDecay }) => muon(specs, { learningRate: falling(0.2), weightDecay, mask, learningRateScales: scales }) },
  'muon by spectral norms': { steps: 150, make: ({ weightDecay }) => muon(specs, { learningRate: falling(1), scaling: 'spectral', nesterov: false, weightDecay, adamw: { learningRate: falling(0.2) } }) },
  'a partition': {
    steps: 150,
    make: ({ weightDecay }) => chain(clipByGlobalNorm(10), scaleByTree(scales), partition(treeMap<ParamSpec, string>(({ role }) => (role === 'hidden' ? 'matrices' : 'rest'), specs), {
      matrices: lion({ learningRate: falling(0.1), weightDecay }), rest: sgd({ learningRate: 0.1, weightDecay }),
    })),
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

/** Optimizers with all the options that optimizers share. */
const complete: Record<string, (options: AdamwOptions) => GradientTransform> = {
  adamw: (options) => adamw(options), sgd, sgdSai, lion, lars, lamb, adafactor, muon: (options) => muon(specs, options),
};

forEachBackend(() => {
  describe.each(Object.entries(complete))('%s', (_, make) => {
    it('update(zeros, state, params) with a mask shrinks the parameters where it is true, by one factor, and leaves the others alone', async () => {
      const params = makeParams();
      const before = await snapshot(params) as Record<string, number[]>;
      const optimizer = make({ learningRate: 0.5, weightDecay: 0.5, mask });
      const state = optimizer.init(params);
      const zeros = treeMap<Variable, Tensor>((p) => zerosLike(p), params);
      step(optimizer, zeros, state, params);
      const after = await snapshot(params) as Record<string, number[]>;
      for (const [path, decays] of treeEntries<boolean>(mask)) {
        const factor = after[path]![0]! / before[path]![0]!;
        if (decays) expect(factor).toSatisfy((value: number) => value > 0.4 && value < 0.8);
        await expectClose(after[path]!, before[path]!.map((value) => value * (decays ? factor : 1)), { rtol: decays ? 1e-6 : 0 });
      }
      free(params, zeros, state);
    });

    it('update(grads, state, params) with learningRateScales gives updates of these multiples, decay included', async () => {
      const [params, grads] = [makeParams(), makeTensors(3)];
      const powers = treeMap<ParamSpec, number>((_, path) => (path.length % 2 === 0 ? 0.25 : 2), specs);
      const options = { learningRate: 0.125, weightDecay: 0.25 };
      const [plain, scaled] = await Promise.all([make(options), make({ ...options, learningRateScales: powers })].map(async (optimizer) => {
        const state = optimizer.init(params);
        const updates = optimizer.update(grads, state, params);
        const values = await snapshot(updates) as Record<string, number[]>;
        free(state, updates);
        return values;
      }));
      for (const [path, power] of treeEntries<number>(powers)) {
        await expectClose(scaled![path]!, plain![path]!.map((value) => value * power), { rtol: 3e-7, atol: 1e-9 });
      }
      free(params, grads);
    });

    it('update(grads, state, params) asks a schedule for steps 0, 1 and 2, and names a step at which it is no rate', async () => {
      const asked: number[] = [];
      const params = makeParams();
      const optimizer = make({ learningRate: (at) => { asked.push(at); return at < 3 ? 0.01 : NaN; } });
      const state = optimizer.init(params);
      for (let i = 0; i < 3; i++) stepWith(optimizer, i, state, params);
      expect([...new Set(asked)]).toEqual([0, 1, 2]);
      const grads = makeTensors(9);
      const before = await snapshot({ params, state });
      await expectNoLeak(() => optimizer.update(grads, state, params), { throws: /learningRate at step 3 must be a finite number ≥ 0, got NaN/ });
      expect(await snapshot({ params, state })).toEqual(before);
      free(params, grads, state);
    });
  });
});

describe.each(Object.entries(complete))('%s', (name, make) => {
  it('refuses decays and scales that are none, and trees that lack a parameter', () => {
    expect(() => make({ learningRate: -1 })).toThrow('learningRate must be a finite number ≥ 0, got -1');
    expect(() => make({ learningRate: 1, weightDecay: -1 })).toThrow(`${name}: weightDecay must be between 0`);
    expect(() => make({ learningRate: 1, learningRateScales: { ...(scales as object), gain: -1 } })).toThrow('learningRateScales.gain must be between 0');
    const params = makeParams();
    const grads = makeTensors(1);
    const optimizer = make({ learningRate: 1, learningRateScales: { gain: 1 } });
    const state = optimizer.init(params);
    expect(() => optimizer.update(grads, state, params)).toThrow('learningRateScales must have a leaf for');
    free(params, grads, state);
  });
});

forEachBackend([GPU_BACKEND], () => {
  it.each(Object.entries(optimizers))('%s does the same in a captured step, bit for bit', async (_, { make }) => {
    const run = async (isCaptured: boolean) => {
      const params = makeParams();
      const optimizer = make({ weightDecay: 0.1 });
      const state = optimizer.init(params);
      const update = (grads: Tree<Tensor>): Tensor => {
        applyUpdates(params, optimizer.update(grads, state, params));
        return globalNorm(grads);
      };
      const captured = captureStep(update);
      for (let i = 0; i < 7; i++) {
        const grads = makeTensors(200 + i);
        free(isCaptured ? captured(grads) : tidy(() => update(grads)), grads);
      }
      const { state: status } = captured.status();
      const values = await snapshot({ params, state });
      captured.dispose();
      free(params, state);
      return { status, values };
    };
    const [eager, captured] = [await run(false), await run(true)];
    expect(captured.status).toBe('captured');
    expect(captured.values).toEqual(eager.values);
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

import { clone, getBackend, tensor, tensor1d, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { ConfigError, hasKernel, param, treeEntries, type GradientTransform, type Tree } from '@evenkeel/core-tensor';
import { adamw, addDecayedWeights, chain, cosine, decayMask, scaleByAdam, scaleByLearningRate, warmupLinear, type AdamState } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, expectNoWorseThan, forEachBackend, randomArray, useBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { free, makeParams, makeTensors, snapshot, specs, step } from './helpers.ts';
import { blocks, expectSame, moment, run, run64 } from './trajectory.ts';

const options = { beta1: 0.85, beta2: 0.97, eps: 1e-6 };
const [learningRate, weightDecay] = [3e-2, 0.2];
const mask = decayMask(specs);
const byHand = () => chain(scaleByAdam(options), addDecayedWeights({ weightDecay, mask }), scaleByLearningRate(learningRate));

/** AdamW of one array in float64. */
function adamw64(start: ArrayLike<number>, grads: readonly ArrayLike<number>[]): Float64Array {
  const { beta1, beta2, eps } = options;
  const p = Float64Array.from(start);
  const [mu, nu] = [new Float64Array(p.length), new Float64Array(p.length)];
  grads.forEach((grad, step) => p.forEach((_, i) => {
    mu[i] = beta1 * mu[i]! + (1 - beta1) * grad[i]!;
    nu[i] = beta2 * nu[i]! + (1 - beta2) * grad[i]! ** 2;
    const direction = mu[i]! / (1 - beta1 ** (step + 1)) / (Math.sqrt(nu[i]! / (1 - beta2 ** (step + 1))) + eps);
    p[i]! -= learningRate * (direction + weightDecay * p[i]!);
  }));
  return p;
}

async function trained(optimizer: GradientTransform, size: number, grads: readonly Float32Array[]): Promise<Float64Array> {
  const params = { weight: param(() => tensor(randomArray(size, { seed: 5 }))) };
  const state = optimizer.init(params);
  for (const grad of grads) {
    const leaf = tensor1d(grad);
    step(optimizer, { weight: leaf }, state, params);
    leaf.dispose();
  }
  const values = Float64Array.from(await params.weight.data());
  free(params, state);
  return values;
}

forEachBackend((backend) => {
  it('adamw() agrees with the same optimizer chained by hand, moments included', async () => {
    const [params, manual] = [makeParams(), makeParams()];
    const fused = adamw({ learningRate, ...options, weightDecay, mask });
    const composed = byHand();
    const [state, manualState] = [fused.init(params), composed.init(manual)];
    for (let i = 0; i < 5; i++) {
      const grads = makeTensors(20 + i, i === 2 ? 100 : 1);
      step(fused, grads, state, params);
      step(composed, grads, manualState, manual);
      free(grads);
    }
    const adam = manualState.links[0] as AdamState;
    expect(adam.count).toBe(state.count);
    for (const [actual, expected] of [[params, manual], [state.mu, adam.mu], [state.nu, adam.nu]] as [Tree<Variable>, Tree<Variable>][]) {
      const wanted = treeEntries<Variable>(expected);
      for (const [index, [, leaf]] of treeEntries<Variable>(actual).entries()) await expectClose(leaf, wanted[index]![1], { rtol: 2e-6, atol: 1e-6 });
    }
    free(params, manual, state, manualState);
  });

  it.each([1, 3, 65, 130, 4097])('adamw() on %i elements is about as accurate as the composed parts', async (size) => {
    const grads = [0, 1, 2, 3].map((i) => randomArray(size, { seed: 50 + i }));
    const fused = await trained(adamw({ learningRate, ...options, weightDecay }), size, grads);
    const composed = await trained(chain(scaleByAdam(options), addDecayedWeights({ weightDecay }), scaleByLearningRate(learningRate)), size, grads);
    // Half a unit in the last place of a parameter around 4.
    await expectNoWorseThan(fused, composed, adamw64(randomArray(size, { seed: 5 }), grads), { floor: 2.4e-7 });
  });

  it('adamw() passes a NaN in a gradient on to its own element alone', async () => {
    const params = { weight: param(() => tensor1d([1, 1, 1])) };
    const optimizer = adamw({ learningRate });
    const state = optimizer.init(params);
    const grads = { weight: tensor1d([1, NaN, 1]) };
    const updates = optimizer.update(grads, state, params) as { weight: Tensor };
    expect(Array.from(await updates.weight.data(), (value) => Number.isNaN(value))).toEqual([false, true, false]);
    free(params, state, grads, updates);
  });

  it('update(grads, state, params) changes no tensor that shared the values of a moment', async () => {
    const params = { weight: param(() => tensor1d([1, 2, 3])) };
    const optimizer = adamw({ learningRate });
    const state = optimizer.init(params);
    const mu = (state.mu as { weight: Variable }).weight;
    const before = clone(mu);
    const grads = { weight: tensor1d([1, 2, 3]) };
    free(optimizer.update(grads, state, params));
    expect(Array.from(await before.data())).toEqual([0, 0, 0]);
    await expectClose(mu, tensor1d([0.1, 0.2, 0.3]), { rtol: 1e-6 });
    free(params, state, grads, before);
  });

  it('update(grads, state, params) keeps two leaves that share a moment in order', async () => {
    const params = { a: param(() => tensor1d([1])), b: param(() => tensor1d([1])) };
    const optimizer = adamw({ learningRate });
    const state = optimizer.init(params) as AdamState & { mu: Record<string, Variable>; nu: Record<string, Variable> };
    free(state.mu.b!, state.nu.b!);
    Object.assign(state.mu, { b: state.mu.a });
    Object.assign(state.nu, { b: state.nu.a });
    const grads = { a: tensor1d([1]), b: tensor1d([1]) };
    const updates = optimizer.update(grads, state, params);
    await expectClose(state.mu.a!, [0.19], { rtol: 1e-6 });
    free(params, grads, updates, state.mu.a!, state.nu.a!);
  });

  it('update(grads, state, params) without decay does not look at a parameter that is not finite', async () => {
    const params = { a: param(() => tensor1d([Infinity, NaN, 1])) };
    const optimizer = adamw({ learningRate: 0.1, weightDecay: 0 });
    const state = optimizer.init(params);
    const grads = { a: tensor1d([1, 1, 1]) };
    const updates = optimizer.update(grads, state, params) as { a: Tensor };
    await expectClose(updates.a, [-0.1, -0.1, -0.1], { rtol: 1e-5 });
    free(params, grads, updates, state);
  });

  it('adamw({ weightDecayMode }) without gradients shrinks by λ times the schedule if independent, whatever the peak, and by η times that if coupled', async () => {
    for (const peak of [1e-3, 0.5]) {
      for (const [weightDecayMode, factor] of [['independent', (1 - 0.1 / 4) * (1 - 0.1 / 2)], ['coupled', (1 - (peak * 0.1) / 4) * (1 - (peak * 0.1) / 2)]] as const) {
        const params = { weight: param(() => tensor1d([1, -2, 3])) };
        const optimizer = adamw({ learningRate: warmupLinear({ peak, warmup: 3 }), weightDecay: 0.1, weightDecayMode, learningRateScales: weightDecayMode === 'coupled' ? undefined : { weight: 0.125 } });
        const state = optimizer.init(params);
        const zeros = { weight: tensor1d([0, 0, 0]) };
        for (let i = 0; i < 2; i++) step(optimizer, zeros, state, params);
        await expectClose(params.weight, [factor, -2 * factor, 3 * factor], { rtol: 1e-6 });
        free(params, zeros, state);
      }
    }
  });

  it('adamw({ weightDecayMode: independent }) is the decay of MosaicBERT: of the parameter first, by λ·η/η₀, then Adam\'s step', async () => {
    const [start, grads] = [blocks(1), [2, 3, 4, 5].map((seed) => blocks(seed))];
    const schedule = cosine({ peak: 0.05, steps: 5, warmup: 1, floor: 0.01 });
    const lambda = 0.2;
    const expected = run64(({ p, g, memory }, at) => {
      const [mu, nu] = [moment(memory, 'mu', p.length), moment(memory, 'nu', p.length)];
      p.forEach((_, i) => {
        mu[i] = 0.9 * mu[i]! + 0.1 * g[i]!;
        nu[i] = 0.98 * nu[i]! + 0.02 * g[i]! ** 2;
        p[i]! *= 1 - (lambda * schedule(at)) / 0.05;
        p[i]! -= (schedule(at) * mu[i]!) / (1 - 0.9 ** (at + 1)) / (Math.sqrt(nu[i]! / (1 - 0.98 ** (at + 1))) + 1e-6);
      });
    }, start, grads);
    await expectSame(await run(adamw({ learningRate: schedule, beta2: 0.98, eps: 1e-6, weightDecay: lambda, weightDecayMode: 'independent' }), start, grads), expected);
  });

  it.each([[1, 1], [1e-3, 1], [1e-9, 0.1 / 1.1], [1e-12, 1e-4]])('adamw() with gradients of %d takes steps of %d times the learning rate: those far below eps stop', async (size, expected) => {
    const params = { weight: param(() => tensor1d([0, 0, 0])) };
    const optimizer = adamw({ learningRate: 1, weightDecay: 0, eps: 1e-8 });
    const state = optimizer.init(params);
    const grads = { weight: tensor1d([size, -size, size]) };
    for (let i = 0; i < 5; i++) free(optimizer.update(grads, state, params));
    const updates = optimizer.update(grads, state, params) as { weight: Tensor };
    await expectClose(updates.weight, [-expected, expected, -expected], { rtol: 2e-4 });
    free(params, grads, state, updates);
  });

  it('update(grads, state, params) adds exactly the updates to the tensors alive', async () => {
    const [params, grads] = [makeParams(), makeTensors(4)];
    const optimizer = adamw({ learningRate });
    const state = optimizer.init(params);
    await expectNoLeak(() => optimizer.update(grads, state, params));
    expect(getBackend()).toBe(backend);
    free(params, grads, state);
  });
});

describe('adamw', () => {
  it('adamw() has a kernel of its own on evenkeel-wasm', async (context) => {
    const reason = await useBackend('evenkeel-wasm');
    if (reason !== undefined) context.skip(reason);
    expect(hasKernel('evenkeel/adamw')).toBe(true);
    await useBackend('cpu');
  });

  it('adamw({ mask }) decays only where the mask is true', async () => {
    const params = makeParams();
    const before = await snapshot(params);
    const optimizer = adamw({ learningRate: 1, weightDecay: 0.5, mask });
    const state = optimizer.init(params);
    const zeros = makeTensors(1, 0);
    step(optimizer, zeros, state, params);
    const after = await snapshot(params);
    for (const [path, decays] of treeEntries<boolean>(mask)) {
      const factor = decays ? 0.5 : 1;
      expect(after[path]).toEqual((before[path] as number[]).map((value) => Math.fround(value * factor)));
    }
    free(params, state, zeros);
  });

  it('adamw({ learningRate: schedule }) asks the schedule for steps 0, 1, 2', () => {
    const asked: number[] = [];
    const params = makeParams();
    const optimizer = adamw({ learningRate: (at) => { asked.push(at); return 0.1; } });
    const state = optimizer.init(params);
    const grads = makeTensors(2);
    for (let i = 0; i < 3; i++) step(optimizer, grads, state, params);
    expect(asked).toEqual([0, 1, 2]);
    free(params, state, grads);
  });

  it('adamw(options) out of range names the option', () => {
    expect(() => adamw({ learningRate: NaN })).toThrow('adamw: learningRate must be a finite number ≥ 0, got NaN');
    expect(() => adamw({ learningRate: 1, beta1: 1 })).toThrow('adamw: beta1 must be in [0, 1), got 1');
    expect(() => adamw({ learningRate: 1, beta2: -0.1 })).toThrow('adamw: beta2 must be in [0, 1), got -0.1');
    expect(() => adamw({ learningRate: 1, eps: 0 })).toThrow('adamw: eps must be a positive number, got 0');
    expect(() => adamw({ learningRate: 1, weightDecay: -1 })).toThrow('adamw: weightDecay must be between 0');
    expect(() => adamw({ learningRate: 1, weightDecayMode: 'none' as 'coupled' })).toThrow('adamw: weightDecayMode must be one of coupled, independent, got none');
    expect(() => adamw({ learningRate: () => 1, weightDecayMode: 'independent' })).toThrow('adamw: peakLearningRate must be given with a schedule that has no property peak, got undefined');
    expect(() => adamw({ learningRate: 0, weightDecayMode: 'independent' })).toThrow('adamw: peakLearningRate must be a positive number, got 0');
  });

  it('update(grads, state, params) with a NaN schedule names the step and changes nothing', async () => {
    const params = makeParams();
    const optimizer = adamw({ learningRate: () => NaN });
    const state = optimizer.init(params);
    const grads = makeTensors(2);
    await expectNoLeak(() => optimizer.update(grads, state, params), { throws: 'adamw: learningRate at step 0 must be a finite number ≥ 0, got NaN' });
    expect(state.count).toBe(0);
    free(params, state, grads);
  });

  it('update(grads, state, params) with a missing gradient, a surplus one or a short mask says so', () => {
    const params = { a: param(() => tensor1d([1])), b: param(() => tensor1d([2])) };
    const [a, b, c] = [tensor1d([1]), tensor1d([1]), tensor1d([1])];
    const optimizer = adamw({ learningRate: 1 });
    const state = optimizer.init(params);
    expect(() => optimizer.update({ a }, state, params)).toThrow(new ConfigError('adamw: grads must have a leaf for b, got 1 others'));
    expect(() => optimizer.update({ a, b, c }, state, params)).toThrow('adamw: grads must have the 2 leaves of params, got 3');
    const masked = adamw({ learningRate: 1, mask: { a: true } });
    expect(() => masked.update({ a, b }, state, params)).toThrow('adamw: mask must have a leaf for b, got 1 others');
    free(params, state, [a, b, c]);
  });
});

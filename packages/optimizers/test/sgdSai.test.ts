import { tensor1d, type Variable } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { gSnr, sgd, sgdSai, type SgdSaiOptions } from '@evenkeel/optimizers';
import { expectClose, forEachBackend, randomArray } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { free, step } from './helpers.ts';
import { blocks, expectSame, mean64, moment, norm64, run, run64, SHAPES, variance64, type Blocks, type Values64 } from './trajectory.ts';

type Kind = 'population' | 'sample';

/** The ratio by its definition, in float64. */
function ratio64(g: ArrayLike<number>, kind: Kind = 'population', eps = 0): number {
  return g.length === 1 ? 1 : norm64(g) / (Math.sqrt(variance64(g, kind === 'sample' ? g.length - 1 : g.length)) + eps);
}

const identity64 = (g: ArrayLike<number>, kind: Kind): number => {
  const [d, mean] = [g.length, mean64(g)];
  return kind === 'sample' ? Math.sqrt(d - 1 + (d * mean ** 2) / variance64(g, d - 1)) : Math.sqrt(d * (1 + mean ** 2 / variance64(g)));
};

/** SGD-SaI's whole trajectory in float64. */
function sgdSai64(start: Blocks, grads: readonly Blocks[], { learningRate = 0, momentum = 0.9, weightDecay = 0, normalize = 'max', variance = 'population', eps = 1e-8 }: Partial<SgdSaiOptions>): Values64 {
  const ratios = Object.fromEntries(Object.entries(grads[0]!).map(([path, { values }]) => [path, ratio64(values, variance, eps)]));
  const largest = normalize === 'max' ? Math.max(...Object.values(ratios)) : 1;
  return run64(({ path, p, g, memory }, at) => {
    const m = moment(memory, 'm', p.length);
    p.forEach((_, i) => {
      m[i] = at === 0 ? g[i]! : momentum * m[i]! + (1 - momentum) * g[i]!;
      p[i] = (1 - (learningRate as number) * weightDecay) * p[i]! - ((learningRate as number) * ratios[path]! * m[i]!) / largest;
    });
  }, start, grads);
}

/** The ratios after one step with these gradients. */
async function ratiosOf(grads: Record<string, Float32Array>, options: Partial<SgdSaiOptions> = {}): Promise<Record<string, number>> {
  const shaped = Object.fromEntries(Object.entries(grads).map(([path, values]) => [path, { shape: [values.length], values }]));
  let found: Record<string, number> = {};
  await run(sgdSai({ learningRate: 0.1, ...options }), shaped, [shaped], async (state) => { found = await gSnr(state); });
  return found;
}

forEachBackend(() => {
  it.each(['population', 'sample'] as const)('gSnr(state) with the %s variance is the norm over the deviation, which is √d but for the mean', async (variance) => {
    const grads = Object.fromEntries([2, 3, 65, 130, 4097, 40_001].flatMap((size) => [
      [`centred${size}`, randomArray(size, { seed: size })], [`off${size}`, randomArray(size, { seed: size, mean: 3, std: 0.5 })],
    ]));
    const found = await ratiosOf(grads, { variance, eps: 1e-30 });
    for (const [path, values] of Object.entries(grads)) {
      expect(found[path]! / ratio64(values, variance)).toBeCloseTo(1, 5);
      expect(identity64(values, variance) / ratio64(values, variance)).toBeCloseTo(1, 9);
    }
  });

  it('gSnr(state) takes the variance from distances to the mean, so that a mean much larger than it costs no digits', async () => {
    const values = randomArray(40_001, { seed: 1, mean: 10, std: 0.1 });
    const { off } = await ratiosOf({ off: values });
    expect(off! / ratio64(values)).toBeCloseTo(1, 4);
  });

  it('gSnr(state) is √d for a constant gradient and 1 for one element, where the ratio would be infinite', async () => {
    const found = await ratiosOf({ constant: new Float32Array(1000).fill(0.1), one: Float32Array.of(-7), tiny: Float32Array.of(1e-12) });
    await expectClose(Float32Array.from(Object.values(found)), [Math.sqrt(1000), 1, 1]);
  });

  it('gSnr(state) does not depend on the size of the gradient', async () => {
    const values = randomArray(4097, { seed: 3, mean: 0.2 });
    const found = await ratiosOf({ one: values, large: values.map((value) => 1024 * value), small: values.map((value) => value / 4096) }, { eps: 1e-30 });
    expect(found['large']).toBe(found['one']);
    expect(found['small']).toBe(found['one']);
  });

  it('gSnr(state) of a stacked matrix is √3 times that of its thirds: parameters are blocks as they are', async () => {
    const thirds = [0, 1, 2].map((i) => randomArray(5000, { seed: 20 + i }));
    const found = await ratiosOf({ q: thirds[0]!, k: thirds[1]!, v: thirds[2]!, qkv: Float32Array.from(thirds.flatMap((third) => [...third])) });
    expect(found['qkv']! / found['k']!).toBeCloseTo(Math.sqrt(3), 2);
  });

  it.each([
    ['as in the paper', { normalize: 'max', variance: 'population' }], ['as in its code', { normalize: 'none', variance: 'sample' }],
  ] as const)('sgdSai() follows the algorithm in float64 %s', async (_, form) => {
    const [start, grads] = [blocks(1), [2, 3, 4, 5].map((seed) => blocks(seed))];
    const options = { learningRate: form.normalize === 'max' ? 0.4 : 0.03, momentum: 0.8, weightDecay: 0.3, ...form };
    await expectSame(await run(sgdSai(options), start, grads), sgdSai64(start, grads, options), { rtol: 1e-5, atol: 5e-6 });
  });

  it('sgdSai() with blocks of one ratio is SGD with a running mean, step for step', async () => {
    const values = randomArray(65, { seed: 8, mean: 0.1 });
    const start = blocks(1, { a: [65], b: [5, 13] });
    const grads = [1, 2, 3, 4].map((factor) => ({ a: { shape: [65], values: values.map((value) => factor * value) }, b: { shape: [5, 13], values: values.toReversed().map((value) => factor * value) } }));
    const actual = await run(sgdSai({ learningRate: 0.3, weightDecay: 0 }), start, grads);
    await expectSame(actual, run64(({ p, g, memory }, at) => {
      const m = moment(memory, 'm', p.length);
      p.forEach((_, i) => { p[i]! -= 0.3 * (m[i] = at === 0 ? g[i]! : 0.9 * m[i]! + 0.1 * g[i]!); });
    }, start, grads));
    // The running mean with rate η is the decaying sum with rate (1 − momentum)·η, whose first gradient weighs 1/(1 − momentum).
    const [first, ...others] = grads as unknown as [Blocks, ...Blocks[]];
    const heavier = Object.fromEntries(Object.entries(first).map(([path, block]) => [path, { ...block, values: block.values.map((value) => 10 * value) }]));
    const summed = await run(sgd({ learningRate: 0.03, momentum: 0.9 }), start, [heavier, ...others]);
    await expectSame(actual, Object.fromEntries(Object.entries(summed).map(([path, each]) => [path, Float64Array.from(each)])), { rtol: 1e-5, atol: 3e-6 });
  });

  it('sgdSai() without further gradients decays by η·λ alone, not by its factor, while the mean fades', async () => {
    const start = blocks(1);
    const zeros = Object.fromEntries(Object.entries(SHAPES).map(([path]) => [path, { ...start[path]!, values: start[path]!.values.map(() => 0) }]));
    const grads = [blocks(2), zeros, zeros, zeros];
    const ratios = Object.fromEntries(Object.entries(grads[0]!).map(([path, { values }]) => [path, ratio64(values)]));
    const largest = Math.max(...Object.values(ratios));
    const [eta, lambda, mu] = [0.3, 0.5, 0.9];
    await expectSame(await run(sgdSai({ learningRate: eta, weightDecay: lambda, momentum: mu }), start, grads), run64(({ path, p }, at) => {
      p.forEach((_, i) => { p[i] = (1 - eta * lambda) * p[i]! - ((eta * ratios[path]!) / largest) * mu ** at * grads[0]![path]!.values[i]!; });
    }, start, grads), { atol: 3e-6 });
  });

  it('sgdSai() keeps the ratios of the first gradients, and gives one to a parameter when its gradient is first not zero', async () => {
    const params: Record<string, Variable> = { a: param(() => tensor1d([1, 2, 3])), late: param(() => tensor1d([1, 2])) };
    const optimizer = sgdSai({ learningRate: 0.1, weightDecay: 0 });
    const state = optimizer.init(params);
    const ratiosAfter = async (a: number[], late: number[]) => {
      const grads = { a: tensor1d(a), late: tensor1d(late) };
      step(optimizer, grads, state, params);
      free(grads);
      return gSnr(state);
    };
    const first = await ratiosAfter([1, -2, 4], [0, 0]);
    expect(first['a']).toBeCloseTo(ratio64([1, -2, 4]), 5);
    expect(first['late']).toBe(0);
    await expectClose(params['late']!, [1, 2], { rtol: 0 });
    const second = await ratiosAfter([100, 100, 99], [3, 1]);
    expect(second['a']).toBe(first['a']);
    expect(second['late']).toBeCloseTo(ratio64([3, 1]), 5);
    expect(await ratiosAfter([0, 0, 5], [1, -50])).toEqual(second);
    free(params, state);
  });
});

describe('sgdSai', () => {
  it('sgdSai(options) out of range names the option', () => {
    expect(() => sgdSai({ learningRate: 1, momentum: 1 })).toThrow('sgdSai: momentum must be in [0, 1), got 1');
    expect(() => sgdSai({ learningRate: 1, eps: 0 })).toThrow('sgdSai: eps must be a positive number, got 0');
    expect(() => sgdSai({ learningRate: 1, normalize: 'sum' as 'max' })).toThrow('sgdSai: normalize must be one of max, none, got sum');
    expect(() => sgdSai({ learningRate: 1, variance: 'biased' as 'sample' })).toThrow('sgdSai: variance must be one of population, sample, got biased');
  });

  it('update(grads, state, params) with the state of another model says so', () => {
    const [params, grads] = [{ a: param(() => tensor1d([1])) }, { a: tensor1d([1]) }];
    const optimizer = sgdSai({ learningRate: 1 });
    const state = optimizer.init(params);
    const other = { ...state, gSnr: param(() => tensor1d([0, 0])) };
    expect(() => optimizer.update(grads, other, params)).toThrow('sgdSai: state.gSnr must have the ratios of 1 parameters, got 2');
    free(params, grads, state, other.gSnr);
  });
});

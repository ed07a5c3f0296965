import { ConfigError } from '@evenkeel/core-tensor';
import { architectureFeatures, crossValidate, fitCurvePredictors, fitRidge, type CurveSample } from '@evenkeel/diagnostics';
import { randomArray } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

const SIZES = { depth: 12, dim: 768, numHeads: 12, hiddenDim: 3072 };

describe('architectureFeatures(config, layer)', () => {
  it('are those of the paper', () => {
    expect(architectureFeatures(SIZES, 3)).toEqual({
      depthFraction: 0.25, depthSquared: 0.0625, depthCubed: 0.015625, depthRoot: 0.5, headsPerDim: 12 / 768, hiddenPerDim: 4, dimPerLayer: 64,
      headsPerLayer: 1, logDim: Math.log(768), layerTimesDepth: 36,
    });
    expect(architectureFeatures({ ...SIZES, rotaryBase: 10000, rotaryShare: 0.25 }, 3)).toMatchObject({ rotaryBase: 10000, rotaryShare: 0.25 });
  });

  it('are of a layer that the model has', () => {
    expect(() => architectureFeatures(SIZES, 0)).toThrow(new ConfigError('architectureFeatures: layer must be an integer ≥ 1, got 0'));
    expect(() => architectureFeatures(SIZES, 13)).toThrow('layer must be between 1 and 12, got 13');
    expect(() => architectureFeatures({ ...SIZES, dim: 0 }, 1)).toThrow('dim must be an integer ≥ 1, got 0');
    expect(() => architectureFeatures({ ...SIZES, rotaryBase: 0 }, 1)).toThrow('rotaryBase must be a positive number, got 0');
    expect(() => architectureFeatures({ ...SIZES, rotaryShare: 2 }, 1)).toThrow('rotaryShare must be between 0 and 1, got 2');
  });
});

const table = (count: number, seed = 1) => {
  const numbers = randomArray(3 * count, { seed });
  return Array.from({ length: count }, (_, i) => ({ a: numbers[3 * i]!, b: 100 * numbers[3 * i + 1]! + 7, c: numbers[3 * i + 2]! }));
};

describe('fitRidge(samples)', () => {
  it('with a small alpha is the linear model that the samples come from', () => {
    const samples = table(30).map((features) => ({ features, target: 2 * features.a - 0.5 * features.b + 3 }));
    const model = fitRidge(samples, { alpha: 1e-9 });
    expect(model.r2).toBeCloseTo(1, 12);
    expect(model.predict({ a: 10, b: -4, c: 99 })).toBeCloseTo(25, 6);
    expect(model.weights.c).toBeCloseTo(0, 8);
  });

  it('minimises its sum: nearby coefficients are worse', () => {
    const noise = randomArray(12, { seed: 9 });
    const samples = table(12).map((features, i) => ({ features, target: features.a + noise[i]! }));
    const { weights } = fitRidge(samples, { alpha: 2 });
    const scaled = (name: 'a' | 'b' | 'c') => {
      const values = samples.map(({ features }) => features[name]);
      const mean = values.reduce((sum, value) => sum + value, 0) / 12;
      const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 12);
      return values.map((value) => (value - mean) / deviation);
    };
    const z = { a: scaled('a'), b: scaled('b'), c: scaled('c') };
    const mean = samples.reduce((sum, { target }) => sum + target, 0) / 12;
    const cost = (w: Readonly<Record<string, number>>): number => samples.reduce((sum, { target }, i) => sum + (target - mean - w.a! * z.a[i]! - w.b! * z.b[i]! - w.c! * z.c[i]!) ** 2, 0)
      + 2 * (w.a! ** 2 + w.b! ** 2 + w.c! ** 2);
    for (const name of ['a', 'b', 'c']) {
      for (const by of [-1e-3, 1e-3]) expect(cost({ ...weights, [name]: weights[name]! + by })).toBeGreaterThan(cost(weights));
    }
  });

  it('crossValidate says what it is worth: nothing for noise, though the fit itself looks well', () => {
    const noise = randomArray(15, { seed: 3 });
    const samples = table(15).map((features, i) => ({ features: { ...features, d: features.a ** 2, e: features.b * features.c, f: features.c ** 3 }, target: noise[i]! }));
    expect(fitRidge(samples, { alpha: 1e-3 }).r2).toBeGreaterThan(0.2);
    expect(crossValidate(samples, { alpha: 1e-3 })).toBeLessThan(0.1);
    const linear = table(15).map((features) => ({ features, target: features.a - features.c }));
    expect(crossValidate(linear, { alpha: 1e-6 })).toBeCloseTo(1, 6);
  });

  it('crossValidate leaves groups out together', () => {
    const samples = table(12).map(({ a }, i) => ({ features: { a, group: i % 3 }, target: i % 3 === 2 ? 10 : 0 })); // only group 2 is different
    const groups = samples.map((_, i) => i % 3);
    expect(crossValidate(samples, { alpha: 1e-6 }, groups)).toBeLessThan(0);
    expect(crossValidate(samples, { alpha: 1e-6 })).toBeGreaterThan(0.5);
  });

  it('refuses samples that do not fit each other', () => {
    expect(() => crossValidate(table(3).map((features) => ({ features, target: 1 })), {}, [1, 2])).toThrow('crossValidate: groups must be as many as samples, 3, got 2');
    expect(() => fitRidge([{ features: { a: 1 }, target: 1 }])).toThrow(new ConfigError('fitRidge: samples must be at least 2, got 1'));
    expect(() => fitRidge([{ features: { a: 1 }, target: 1 }, { features: {}, target: 1 }] as never)).toThrow('samples[1] must have a finite number a, got undefined');
    expect(() => fitRidge([{ features: { a: 1 }, target: NaN }, { features: { a: 2 }, target: 1 }])).toThrow('samples[0] must have a finite number target, got NaN');
    expect(() => fitRidge(table(3).map((features) => ({ features, target: 1 }))).predict({ a: 1 })).toThrow('features must have a finite number b, got undefined');
    expect(() => fitRidge([], { alpha: 0 })).toThrow('alpha must be a positive number, got 0');
  });
});

describe('fitCurvePredictors(samples)', () => {
  /** Layers of models of several sizes whose curves follow from their features, one of them (gamma) by chance. */
  const samples: CurveSample[] = [4, 6, 8, 12, 16, 24].flatMap((depth, m) => Array.from({ length: depth }, (_, i) => {
    const features = architectureFeatures({ depth, dim: 64 * (m + 2), numHeads: 4 + (m % 3), hiddenDim: 256 * (m + 2) }, i + 1);
    const at = features.depthFraction as number;
    return {
      model: `of ${depth} layers`, features,
      curve: { A: Math.exp(2 + at), lambda: Math.exp(-1 - at), gamma: Math.exp(randomArray(1, { seed: 97 * m + i })[0]!), t0: Math.exp(at ** 2), K: (1 + 0.5 * at) ** 3 - 2 },
    };
  }));

  it('predicts parameters that follow from the architecture, and says of those that do not that it cannot', () => {
    const { r2, predict } = fitCurvePredictors(samples, { alpha: 0.1 });
    expect(r2.A).toBeGreaterThan(0.9);
    expect(r2.K).toBeGreaterThan(0.9);
    expect(r2.t0).toBeGreaterThan(0.9);
    expect(r2.gamma).toBeLessThan(0.1);
    const { curve, features } = samples[20]!;
    const predicted = predict(features);
    for (const name of ['A', 'lambda', 't0', 'K'] as const) expect(Math.abs(predicted[name] - curve[name])).toBeLessThan(0.1 * Math.abs(curve[name]) + 0.05);
  });

  it('leaves out layers in turn where they are not said to be of a model', () => {
    expect(fitCurvePredictors(samples.map(({ features, curve }) => ({ features, curve })), { alpha: 0.1 }).r2.A).toBeGreaterThan(0.99);
  });

  it('refuses what it cannot learn from', () => {
    expect(() => fitCurvePredictors(samples.slice(0, 9))).toThrow(new ConfigError('fitCurvePredictors: samples must be at least 10, got 9'));
    const alike = samples.map((sample) => ({ ...sample, curve: samples[0]!.curve }));
    expect(() => fitCurvePredictors(alike)).toThrow(`values must have at least 2 different ones, got ${samples.length} alike`);
  });
});

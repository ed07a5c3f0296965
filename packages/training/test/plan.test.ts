import { ConfigError, foldSeed, randomBits, treeLeaves } from '@evenkeel/core-tensor';
import { gpt } from '@evenkeel/models-gpt';
import { adjustPlan, batchRamp, countParams, effectiveTokens, planOneEpoch, suggestConfig, trainingFlops } from '@evenkeel/training';
import { dispose, type Tensor, type TensorContainer } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

/** `count` numbers, evenly spread over the orders of magnitude between `low` and `high`. */
const spread = (seed: string, count: number, low: number, high: number): number[] =>
  Array.from(randomBits(foldSeed(1, seed), count), (bits) => low * (high / low) ** (bits / 2 ** 32));

describe('planOneEpoch', () => {
  const budgets = spread('budget', 60, 1e11, 1e22);

  it('planOneEpoch({ computeFlops }) spends the budget at the ratio, within the rounding to whole steps', () => {
    for (const computeFlops of budgets) {
      for (const tokensPerParam of [1, 5, 20]) {
        const { params, tokens, steps, flops } = planOneEpoch({ computeFlops, tokensPerParam, tokensPerStep: 1024 });
        expect(tokens).toBe(steps * 1024);
        expect(flops).toBe(6 * params * tokens);
        expect([Number.isInteger(params), Number.isInteger(steps)]).toEqual([true, true]);
        expect(Math.abs(flops / computeFlops - 1)).toBeLessThan(1.01 / steps + 0.51 / params); // half a step each of tokens and params, and half a parameter
        expect(Math.abs(tokens / params / tokensPerParam - 1)).toBeLessThan(0.51 / params);
      }
    }
  });

  it('planOneEpoch of its own output changes nothing, whichever of the three it is given', () => {
    for (const computeFlops of budgets) {
      const plan = planOneEpoch({ computeFlops, tokensPerStep: 4096 });
      const { flops, params, tokens } = plan;
      for (const again of [{ computeFlops: flops }, { params }, { tokens }]) expect(planOneEpoch({ ...again, tokensPerStep: 4096 })).toEqual(plan);
    }
  });

  it('planOneEpoch({ params }) keeps the model, planOneEpoch({ tokens }) never asks for more than the corpus', () => {
    expect(planOneEpoch({ params: 100_000, tokensPerStep: 1024 })).toEqual({ params: 100_000, tokens: 488 * 1024, steps: 488, flops: 6e5 * 488 * 1024 });
    expect(planOneEpoch({ tokens: 1_003_854, tokensPerStep: 1024 })).toEqual({ params: 200_704, tokens: 980 * 1024, steps: 980, flops: 6 * 200_704 * 980 * 1024 });
    expect(planOneEpoch({ tokens: 2047, tokensPerStep: 1024 }).steps).toBe(1);
  });

  it.each([
    [{ tokensPerStep: 8 }, 'planOneEpoch: one of computeFlops, params and tokens must be given, got none'],
    [{ params: 9, tokens: 9, tokensPerStep: 8 }, 'planOneEpoch: one of computeFlops, params and tokens must be given, got params and tokens'],
    [{ computeFlops: 0, tokensPerStep: 8 }, 'planOneEpoch: computeFlops must be a positive number, got 0'],
    [{ params: 1.5, tokensPerStep: 8 }, 'planOneEpoch: params must be an integer ≥ 1, got 1.5'],
    [{ params: 100, tokensPerStep: 0 }, 'planOneEpoch: tokensPerStep must be an integer ≥ 1, got 0'],
    [{ params: 100, tokensPerStep: 8, tokensPerParam: -1 }, 'planOneEpoch: tokensPerParam must be a positive number, got -1'],
    [{ tokens: 1000, tokensPerStep: 1024 }, 'planOneEpoch: tokens must suffice for one step of 1024 tokens, got 1000'],
    [{ computeFlops: 1e5, tokensPerStep: 1024 }, 'planOneEpoch: computeFlops must suffice for one step of 1024 tokens, got 100000'],
  ])('planOneEpoch(%j) says what is wrong', (options, message) => {
    expect(() => planOneEpoch(options)).toThrow(new ConfigError(message));
  });
});

describe('adjustPlan', () => {
  it('adjustPlan keeps params · tokens to 1e-9 and reaches the ratio', () => {
    const [sizes, lengths] = [spread('params', 50, 1e4, 1e11), spread('tokens', 50, 1e4, 1e13)];
    sizes.forEach((params, i) => {
      const tokens = lengths[i]!;
      for (const tokensPerParam of [5, 20]) {
        const adjusted = adjustPlan({ params, tokens }, { tokensPerParam });
        expect(Math.abs((adjusted.params * adjusted.tokens) / (params * tokens) - 1)).toBeLessThan(1e-9);
        expect(adjusted.tokens / adjusted.params / tokensPerParam).toBeCloseTo(1, 9);
        expect(adjusted.flops).toBe(6 * params * tokens);
      }
    });
  });

  it('adjustPlan leaves a plan that has the ratio as it is, and says whether the model was too small', () => {
    expect(adjustPlan({ params: 123, tokens: 615 })).toMatchObject({ params: 123, tokens: 615, factor: 1 });
    expect(adjustPlan({ params: 100, tokens: 8000 })).toMatchObject({ params: 400, tokens: 2000, factor: 4 });
    expect(adjustPlan({ params: 400, tokens: 125 }).factor).toBeCloseTo(0.25, 12);
    expect(() => adjustPlan({ params: 0, tokens: 5 })).toThrow('adjustPlan: params must be a positive number, got 0');
  });
});

describe('effectiveTokens', () => {
  it('effectiveTokens of at most one epoch are those seen; more epochs are worth ever less each', () => {
    expect([effectiveTokens(1000, 0.5), effectiveTokens(1000, 1)]).toEqual([500, 1000]);
    const worth = Array.from({ length: 60 }, (_, i) => effectiveTokens(1000, i + 2) - effectiveTokens(1000, i + 1));
    expect(worth[0]).toBeGreaterThan(950);
    worth.slice(1).forEach((each, i) => expect(each).toBeLessThan(worth[i]!));
    expect(effectiveTokens(1000, 4)).toBeGreaterThan(0.9 * 4000);
    expect(effectiveTokens(1000, 1e9)).toBeCloseTo(16_000, 6);
    expect(effectiveTokens(1000, 6, { halfLife: 5 })).toBeCloseTo(1000 * (1 + 5 * (1 - Math.exp(-1))), 9);
    expect(() => effectiveTokens(10, -1)).toThrow('effectiveTokens: epochs must be a positive number, got -1');
  });
});

describe('countParams and suggestConfig', () => {
  it('countParams(specs) is the sum of the sizes of the parameters, with and without embeddings and head', () => {
    for (const tiedHead of [true, false]) {
      const model = gpt({ vocabSize: 65, contextLength: 12, depth: 3, dim: 24, numHeads: 3, tiedHead });
      const params = model.init({ seed: 1 });
      const all = treeLeaves(params as never).reduce<number>((sum, leaf) => sum + (leaf as Tensor).size, 0);
      expect(countParams(model.specs)).toBe(all);
      expect(countParams(model.specs, { excludeEmbeddings: true })).toBe(all - (65 + 12) * 24 - (tiedHead ? 0 : 65 * 24));
      dispose(params as unknown as TensorContainer);
    }
  });

  it('suggestConfig(params) comes near the target, with heads of the size asked for, and counts as the model does', () => {
    for (const target of spread('target', 40, 2e4, 1e11)) {
      const headDim = target < 1e6 ? 8 : 64;
      const { config, params, paramsWithEmbeddings } = suggestConfig(target, { vocabSize: 65, headDim, contextLength: 32 });
      expect(config.dim).toBe(config.numHeads * headDim);
      expect(Math.abs(Math.log(params / target))).toBeLessThan(0.25);
      if (target > 1e6) continue;
      const { specs } = gpt(config);
      expect([params, paramsWithEmbeddings]).toEqual([countParams(specs, { excludeEmbeddings: true }), countParams(specs)]);
    }
  });

  it('suggestConfig(params) grows width and depth together', () => {
    const [small, large] = [suggestConfig(1e7, { vocabSize: 65 }), suggestConfig(1e9, { vocabSize: 65 })].map(({ config }) => config);
    expect(large!.dim / small!.dim).toBeGreaterThan(3);
    expect(large!.depth / small!.depth).toBeGreaterThan(3);
  });

  it('suggestConfig({ countEmbeddings }) counts them in the target', () => {
    const { paramsWithEmbeddings, params } = suggestConfig(124e6, { vocabSize: 50257, contextLength: 1024, countEmbeddings: true });
    expect(Math.abs(paramsWithEmbeddings / 124e6 - 1)).toBeLessThan(0.1);
    expect(params).toBeLessThan(100e6);
  });

  it('suggestConfig of fewer parameters than one head allows says how many it takes', () => {
    expect(() => suggestConfig(1000, { vocabSize: 65 })).toThrow('suggestConfig: params must be at least 25056 with heads of 64 channels, got 1000. A smaller headDim allows smaller models.');
    expect(() => suggestConfig(1e6, { vocabSize: 65, headDim: 0 })).toThrow('suggestConfig: headDim must be an integer ≥ 1, got 0');
  });
});

it('trainingFlops(config, tokens) adds attention and head to 6 · params; a causal mask halves the products of attention', () => {
  const config = { params: 1000, depth: 2, dim: 8, contextLength: 16 };
  expect(trainingFlops(config, 10)).toBe(10 * (6000 + 12 * 2 * 8 * 16));
  expect(trainingFlops({ ...config, causal: true }, 10)).toBe(10 * (6000 + 6 * 2 * 8 * 16));
  expect(trainingFlops({ ...config, vocabSize: 65 }, 10) - trainingFlops(config, 10)).toBe(10 * 6 * 65 * 8);
  expect(() => trainingFlops({ ...config, dim: 0 }, 10)).toThrow('trainingFlops: dim must be an integer ≥ 1, got 0');
  expect(() => trainingFlops(config, 0)).toThrow('trainingFlops: tokens must be a positive number, got 0');
});

describe('batchRamp', () => {
  it('batchRamp grows in equal stages from the first size to the last, in multiples, with at most four sizes', () => {
    const size = batchRamp({ from: 8, to: 64, steps: 90, multipleOf: 8 });
    expect([0, 29, 30, 59, 60, 89, 90, 1e6].map(size)).toEqual([8, 8, 24, 24, 40, 40, 64, 64]);
    for (const [from, to, multipleOf, sizes] of [[4, 4, 4, 4], [2, 64, 2, 3], [3, 129, 3, 9], [1, 2, 1, 4]] as const) {
      const ramp = batchRamp({ from, to, steps: 130, multipleOf, sizes });
      const all = Array.from({ length: 140 }, (_, step) => ramp(step));
      expect([all[0], all[130]]).toEqual([from, to]);
      expect(all).toEqual([...all].sort((a, b) => a - b));
      expect(all.every((each) => each % multipleOf === 0)).toBe(true);
      expect(new Set(all).size).toBeLessThanOrEqual(sizes);
    }
  });

  it.each([
    [{ from: 6, to: 8, steps: 9, multipleOf: 4 }, 'batchRamp: from must be divisible by multipleOf, got 6 and 4'],
    [{ from: 4, to: 10, steps: 9, multipleOf: 4 }, 'batchRamp: to must be divisible by multipleOf, got 10 and 4'],
    [{ from: 8, to: 4, steps: 9 }, 'batchRamp: to must be at least from, got 4 and 8'],
    [{ from: 4, to: 8, steps: 0 }, 'batchRamp: steps must be an integer ≥ 1, got 0'],
    [{ from: 4, to: 8, steps: 9, sizes: 1 }, 'batchRamp: sizes must be an integer ≥ 2, got 1'],
  ])('batchRamp(%j) says what is wrong', (options, message) => {
    expect(() => batchRamp(options)).toThrow(new ConfigError(message));
  });
});

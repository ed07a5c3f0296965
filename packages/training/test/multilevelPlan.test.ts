import type { ParamSpec, Tree } from '@evenkeel/core-tensor';
import { gpt } from '@evenkeel/models-gpt';
import { multilevelPlan, type PlanOptions } from '@evenkeel/training';
import { describe, expect, it } from 'vitest';

const sized = (...shape: number[]): { specs: Tree<ParamSpec> } => ({ specs: { w: { shape, axes: 'dim in', role: 'hidden' }, scale: { shape: [], axes: '', role: 'scalar' } } });

describe('multilevelPlan', () => {
  it('goes down with initSteps, trains the smallest, and comes up again; flops are 6 · parameters · tokens of each stage', () => {
    const { stages, flops } = multilevelPlan({ levels: [sized(10, 10), sized(5, 5), sized(2, 2)], initSteps: [3, 4], steps: [20, 30, 40], tokensPerStep: 8 });
    expect(stages).toEqual([
      { index: 0, level: 0, phase: 'down', steps: 3, firstStep: 0, parameters: 101, flops: 6 * 101 * 8 * 3 },
      { index: 1, level: 1, phase: 'down', steps: 4, firstStep: 3, parameters: 26, flops: 6 * 26 * 8 * 4 },
      { index: 2, level: 2, phase: 'bottom', steps: 40, firstStep: 7, parameters: 5, flops: 6 * 5 * 8 * 40 },
      { index: 3, level: 1, phase: 'up', steps: 30, firstStep: 47, parameters: 26, flops: 6 * 26 * 8 * 30 },
      { index: 4, level: 0, phase: 'up', steps: 20, firstStep: 77, parameters: 101, flops: 6 * 101 * 8 * 20 },
    ]);
    expect(flops).toBe(6 * 8 * (101 * 23 + 26 * 34 + 5 * 40));
  });

  it('of one level is a plain run, the baseline', () => {
    expect(multilevelPlan({ levels: [sized(10, 10)], initSteps: 5, steps: [30], tokensPerStep: 8 }))
      .toEqual({ stages: [{ index: 0, level: 0, phase: 'bottom', steps: 30, firstStep: 0, parameters: 101, flops: 6 * 101 * 8 * 30 }], flops: 6 * 101 * 8 * 30 });
  });

  it('counts 26 % fewer operations for half the width and depth: 20 + 150 + 180 steps in place of 300', () => {
    const level = (depth: number, dim: number, numHeads: number) => gpt({ vocabSize: 65, contextLength: 64, depth, dim, numHeads, tiedHead: false });
    const levels = [level(4, 64, 4), level(2, 32, 2)];
    const cycle = multilevelPlan({ levels, initSteps: 20, steps: [180, 150], tokensPerStep: 1024 });
    const baseline = multilevelPlan({ levels: levels.slice(0, 1), initSteps: 0, steps: [300], tokensPerStep: 1024 });
    expect(1 - cycle.flops / baseline.flops).toBeCloseTo(0.26, 2);
  });

  const good: PlanOptions = { levels: [sized(4, 4), sized(2, 2)], initSteps: 1, steps: [1, 1], tokensPerStep: 1 };
  it.each<[Partial<PlanOptions>, string]>([
    [{ levels: [] }, 'multilevelPlan: levels must have at least one model, got none'],
    [{ steps: [1] }, 'multilevelPlan: steps must have 2 numbers, one for each level, got 1'],
    [{ initSteps: [1, 1] }, 'multilevelPlan: initSteps must have 1 numbers, one for each level but the last, got 2'],
    [{ initSteps: 0 }, 'multilevelPlan: initSteps[0] must be an integer ≥ 1, got 0'],
    [{ steps: [2, 1.5] }, 'multilevelPlan: steps[1] must be an integer ≥ 1, got 1.5'],
    [{ tokensPerStep: 0 }, 'multilevelPlan: tokensPerStep must be an integer ≥ 1, got 0'],
  ])('refuses %o', (options, message) => expect(() => multilevelPlan({ ...good, ...options })).toThrow(message));
});

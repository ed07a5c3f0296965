import { describe, expect, it } from 'vitest';
import type { Metrics } from '@evenkeel/training';
import { curvesOf } from '../src/sweep/curves.ts';

const reading = (step: number, values: Record<string, number[]>): Metrics => ({ kind: 'monitor', step, values, findings: [] });

describe('curvesOf', () => {
  it('curvesOf takes the entropy of the lowest block, the largest logit of all, and the mean log-partition', () => {
    const { entropy, maxLogit, logPartition } = curvesOf([
      reading(1, { 'blocks.0.attn.entropy': [0.2, 0.4], 'blocks.1.attn.entropy': [0.9, 0.1], 'blocks.0.attn.maxLogit': [1, 7], 'blocks.1.attn.maxLogit': [3, 2], 'logits.logPartition': [4, 9], 'embedding.rms': [100] }),
      reading(5, { 'blocks.0.attn.entropy': [NaN], 'blocks.0.attn.maxLogit': [Infinity], 'logits.logPartition': [5, 9] }),
    ]);
    expect(entropy).toEqual([[1, 0.3]]);
    expect(maxLogit).toEqual([[1, 7]]);
    expect(logPartition).toEqual([[1, 4], [5, 5]]);
  });

  it('curvesOf keeps every loss of a short run, and means over stretches of a long one', () => {
    const losses = (count: number) => curvesOf(Array.from({ length: count }, (_, i): Metrics => ({ kind: 'step', step: i + 1, loss: i, gradNorm: 1, msPerStep: 1 }))).loss;
    expect(losses(3)).toEqual([[1, 0], [2, 1], [3, 2]]);
    expect(losses(250).slice(0, 2)).toEqual([[3, 1], [6, 4]]);
    expect(losses(250).at(-1)).toEqual([250, 249]);
    expect(losses(0)).toEqual([]);
  });
});

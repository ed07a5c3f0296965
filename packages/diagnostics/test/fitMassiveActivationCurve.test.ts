import { ConfigError } from '@evenkeel/core-tensor';
import { fitFirstOrderStepResponse, fitMassiveActivationCurve, fitSecondOrderStepResponse, massiveActivationCurve, peakOf, type MassiveActivationCurve } from '@evenkeel/diagnostics';
import { randomArray } from '@evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const STEPS = Array.from({ length: 37 }, (_, i) => (i * 1000) / 36);
const sample = (curve: MassiveActivationCurve, steps: readonly number[] = STEPS) => steps.map((x) => ({ x, y: massiveActivationCurve(x, curve) }));
const noisy = (points: readonly { x: number; y: number }[], share: number, seed: number) => {
  const height = Math.max(...points.map(({ y }) => y)) - Math.min(...points.map(({ y }) => y));
  const noise = randomArray(points.length, { seed, std: share * height });
  return points.map(({ x, y }, i) => ({ x, y: y + (noise[i] as number) }));
};
const EARLY_PEAK = { A: 3, lambda: 0.2, gamma: 0.01, t0: 1, K: 5 };
const LOG_INCREASE = { A: 40, lambda: 1e-4, gamma: 0.05, t0: 1.5, K: 10 };

describe('fitMassiveActivationCurve(points)', () => {
  it('recovers a curve that peaks within the run', () => {
    const between = (min: number, max: number) => fc.double({ min, max, noNaN: true });
    const curves = fc.record({ A: between(0.5, 500), lambda: between(0.05, 1), gamma: between(3e-3, 0.05), t0: between(0.2, 3), K: between(-10, 100) });
    fc.assert(fc.property(curves, (curve) => {
      const peak = peakOf(curve);
      fc.pre(peak > 50 && peak < 900);
      const found = fitMassiveActivationCurve(sample(curve));
      expect(found.r2).toBeGreaterThan(0.999999);
      expect(Math.abs(found.tPeak / peak - 1)).toBeLessThan(1e-3);
      for (const name of ['A', 'lambda', 'gamma', 't0'] as const) expect(Math.abs(found[name] / curve[name] - 1)).toBeLessThan(1e-3);
      expect(Math.abs(found.K - curve.K)).toBeLessThan(1e-3 * Math.max(Math.abs(curve.K), curve.A)); // K may be 0
    }), { numRuns: 60, seed: 1 });
  });

  it('says where it peaks and what is left, to four digits', () => {
    expect(fitMassiveActivationCurve(sample(EARLY_PEAK)).tPeak).toBeCloseTo(276.87, 1);
    const rising = fitMassiveActivationCurve(sample(LOG_INCREASE));
    expect(rising.r2).toBeGreaterThan(0.999999);
    expect(rising.tPeak).toBeGreaterThan(1000); // not within the run
  });

  it('explains noisy curves, better than step responses do', () => {
    for (const [seed, curve] of [EARLY_PEAK, LOG_INCREASE].entries()) {
      const points = noisy(sample(curve), 0.02, seed + 1);
      const found = fitMassiveActivationCurve(points);
      expect(found.r2).toBeGreaterThan(0.97);
      expect(found.aic).toBeLessThan(fitFirstOrderStepResponse(points).aic);
      expect(found.aic).toBeLessThan(fitSecondOrderStepResponse(points).aic);
    }
  });

  it('takes any scale of steps and ratios', () => {
    const found = fitMassiveActivationCurve(sample(EARLY_PEAK).map(({ x, y }) => ({ x: 143 * x, y: 1000 * y - 7 })));
    expect(found).toMatchObject({ A: expect.closeTo(3000, 1), K: expect.closeTo(4993, 1), lambda: expect.closeTo(0.2, 4), gamma: expect.closeTo(0.01 / 143, 7), t0: expect.closeTo(1, 4) });
  });

  it('of points that do not vary is that value', () => {
    const found = fitMassiveActivationCurve(STEPS.map((x) => ({ x, y: 4 })));
    expect(massiveActivationCurve(500, found)).toBeCloseTo(4, 9);
  });

  it('copes with a curve that has no logarithm', () => {
    const found = fitMassiveActivationCurve(STEPS.map((x) => ({ x, y: 2 + 5 * Math.exp(-x / 200) })));
    expect(found.r2).toBeGreaterThan(0.999);
    expect(Object.values(found).every(Number.isFinite)).toBe(true);
  });

  it('refuses points that do not determine it', () => {
    expect(() => fitMassiveActivationCurve(sample(EARLY_PEAK, [0, 1, 2, 3, 4]))).toThrow(new ConfigError('fitMassiveActivationCurve: points of different x must be an integer ≥ 6, got 5'));
    expect(() => fitMassiveActivationCurve([{ x: -1, y: 0 }])).toThrow('points[0].x must be at least 0, got -1');
    expect(() => fitMassiveActivationCurve([{ x: 1, y: Infinity }])).toThrow('points[0].y must be a finite number, got Infinity');
  });
});

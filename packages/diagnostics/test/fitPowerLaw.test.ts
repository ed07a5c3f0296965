import { ConfigError } from '@evenkeel/core-tensor';
import { fitPowerLaw } from '@evenkeel/diagnostics';
import { randomArray } from '@evenkeel/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const STEPS = Array.from({ length: 40 }, (_, i) => 50 + 25 * i);
const sample = (a: number, b: number, floor = 0) => STEPS.map((x) => ({ x, y: floor + a * x ** -b }));

describe('fitPowerLaw(points)', () => {
  it('recovers a and b from points without noise', () => {
    fc.assert(fc.property(fc.double({ min: 0.1, max: 50, noNaN: true }), fc.double({ min: -1, max: 1, noNaN: true }), (a, b) => {
      const found = fitPowerLaw(sample(a, b));
      expect(found).toMatchObject({ a: expect.closeTo(a, 7), b: expect.closeTo(b, 9), lInf: 0 });
    }));
  });

  it('explains most of a noisy curve and predicts on', () => {
    const noise = randomArray(STEPS.length, { std: 0.01 });
    const { r2, predict } = fitPowerLaw(sample(8, 0.2).map(({ x, y }, i) => ({ x, y: y * Math.exp(noise[i] as number) })));
    expect(r2).toBeGreaterThan(0.97);
    expect(r2).toBeLessThan(1);
    expect(predict(4000)).toBeCloseTo(8 * 4000 ** -0.2, 1);
  });

  it('with floor recovers it within 1 %, and a and b with it', () => {
    for (const [a, b] of [[8, 0.3], [20, 0.7], [3, 1.5]] as const) {
      const found = fitPowerLaw(sample(a, b, 0.5), { floor: true });
      expect(Math.abs(found.lInf / 0.5 - 1)).toBeLessThan(0.01);
      expect(Math.abs(found.b / b - 1)).toBeLessThan(0.01);
      expect(Math.abs(found.a / a - 1)).toBeLessThan(0.02);
      expect(found.r2).toBeGreaterThan(0.999999);
    }
  });

  it('with floor finds none where there is none, and never one below 0', () => {
    expect(fitPowerLaw(sample(8, 0.3), { floor: true })).toMatchObject({ lInf: expect.closeTo(0, 2), b: expect.closeTo(0.3, 2) });
    const bentDown = STEPS.map((x) => ({ x, y: 8 * x ** -0.3 * Math.exp(-x / 2000) }));
    expect(fitPowerLaw(bentDown, { floor: true }).lInf).toBe(0);
  });

  it('refuses points that do not determine it', () => {
    expect(() => fitPowerLaw([{ x: 1, y: 1 }])).toThrow(new ConfigError('fitPowerLaw: points of different x must be an integer ≥ 2, got 1'));
    expect(() => fitPowerLaw(sample(1, 1).slice(0, 3), { floor: true })).toThrow('must be an integer ≥ 4, got 3');
    expect(() => fitPowerLaw([{ x: 1, y: 1 }, { x: 2, y: 0 }])).toThrow('points[1].y must be above 0, got 0');
  });
});

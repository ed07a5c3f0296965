import { fromShiftedCurve, massiveActivationCurve, massiveActivationCurveGradient, peakOf, shiftedCurve, toShiftedCurve, type MassiveActivationCurve } from '@evenkeel/diagnostics';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const between = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const curves: fc.Arbitrary<MassiveActivationCurve> = fc.record({
  A: between(0.1, 100), lambda: between(0.01, 2), gamma: between(1e-3, 0.1), t0: between(0.05, 3), K: between(-5, 50),
});

describe('massiveActivationCurve(t, curve)', () => {
  it('is the same in both parametrisations, which are inverse to each other', () => {
    fc.assert(fc.property(curves, between(0, 1000), (curve, t) => {
      const value = massiveActivationCurve(t, curve);
      expect(Math.abs(shiftedCurve(t, toShiftedCurve(curve)) - value)).toBeLessThan(1e-10 * (Math.abs(curve.A) + Math.abs(value)));
      const back = fromShiftedCurve(toShiftedCurve(curve));
      for (const name of ['A', 'lambda', 'gamma', 't0', 'K'] as const) expect(Math.abs(back[name] / curve[name] - 1) || 0).toBeLessThan(1e-10);
    }));
  });

  it('has the gradient of central differences', () => {
    fc.assert(fc.property(curves, between(0, 500), (curve, t) => {
      const gradient = massiveActivationCurveGradient(t, curve);
      (['A', 'lambda', 'gamma', 't0', 'K'] as const).forEach((name, i) => {
        const h = 1e-5 * Math.max(Math.abs(curve[name]), 1e-3);
        const at = (sign: number): number => massiveActivationCurve(t, { ...curve, [name]: curve[name] + sign * h });
        expect(Math.abs((at(1) - at(-1)) / (2 * h) - gradient[i]!)).toBeLessThan(1e-5 * (1 + Math.abs(gradient[i]!)));
      });
    }));
  });

  it('peaks at peakOf(curve)', () => {
    expect(peakOf({ lambda: 0.2, gamma: 0.01, t0: 1 })).toBeCloseTo(276.87, 2);
    fc.assert(fc.property(curves, (curve) => {
      const peak = peakOf(curve);
      fc.pre(peak > 0 && peak < 1000);
      const grid = Array.from({ length: 20001 }, (_, i) => i / 20);
      const best = grid.reduce((a, t) => (massiveActivationCurve(t, curve) > massiveActivationCurve(a, curve) ? t : a));
      expect(Math.abs(best - peak)).toBeLessThan(0.1);
    }), { numRuns: 20 });
  });

  it('with lambda = 0 is a logarithm, which never peaks; else it tends to K', () => {
    const curve = { A: 3, lambda: 0, gamma: 0.02, t0: 1, K: 7 };
    expect(massiveActivationCurve(450, curve)).toBeCloseTo(3 * Math.log(10) + 7, 12);
    expect(peakOf(curve)).toBe(Infinity);
    expect(massiveActivationCurve(1e9, { ...curve, lambda: 0.1 })).toBe(7);
  });

  it('knows its peak also where exp(1/lambda) overflows', () => {
    expect(peakOf({ lambda: 1e-320, gamma: 1, t0: 0 })).toBeGreaterThan(1e300);
    expect(fromShiftedCurve({ beta: 0.1, tau0: 2, A1: 0, A2: 0, K: 3 })).toEqual({ A: 0, lambda: 0.1, gamma: 1, t0: 2, K: 3 });
  });
});

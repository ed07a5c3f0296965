import { ConfigError } from '@evenkeel/core-tensor';
import { lambertW } from '@evenkeel/diagnostics';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

describe('lambertW(z)', () => {
  it('is the inverse of w·eʷ from −1 upwards', () => {
    fc.assert(fc.property(fc.double({ min: -0.99, max: 600, noNaN: true }), (w) => {
      const found = lambertW(w * Math.exp(w));
      // Close to −1 the function is flat: an error of 1e-16 in z is one of 1e-8 in w.
      expect(Math.abs(found - w)).toBeLessThanOrEqual(1e-12 * Math.abs(w) + 1e-15 / (w + 1));
    }));
  });

  it('knows its landmarks', () => {
    expect(lambertW(0)).toBe(0);
    expect(lambertW(1)).toBeCloseTo(0.5671432904097838, 15); // the omega constant
    expect(lambertW(Math.E)).toBeCloseTo(1, 15);
    expect(lambertW(-1 / Math.E)).toBeCloseTo(-1, 7);
    expect(lambertW(1e300)).toBeCloseTo(684.2472086290547, 8);
    expect(lambertW(Infinity)).toBe(Infinity);
  });

  it('refuses what has no real value', () => {
    expect(() => lambertW(-0.4)).toThrow(ConfigError);
    expect(() => lambertW(-0.4)).toThrow('lambertW: z must be between -0.36787944117144233 and Infinity, got -0.4');
    expect(() => lambertW(NaN)).toThrow('got NaN');
  });
});

import { ConfigError } from '@evenkeel/core-tensor';
import { fitLogLogQuadratic } from '@evenkeel/diagnostics';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const law = (c: readonly [number, number, number]) => (x: number): number => Math.exp(c[0] + c[1] * Math.log(x) + c[2] * Math.log(x) ** 2);
const sample = (xs: readonly number[], f: (x: number) => number) => xs.map((x) => ({ x, y: f(x) }));

describe('fitLogLogQuadratic(points)', () => {
  it('recovers a quadratic of the logarithms', () => {
    const c = fc.tuple(fc.double({ min: -3, max: 3, noNaN: true }), fc.double({ min: -2, max: 2, noNaN: true }), fc.double({ min: -0.2, max: 0.2, noNaN: true }));
    fc.assert(fc.property(c, (coefficients) => {
      const found = fitLogLogQuadratic(sample([1e3, 1e4, 1e5, 1e6, 1e7], law(coefficients)));
      found.coefficients.forEach((value, i) => expect(value).toBeCloseTo(coefficients[i]!, 7));
      expect(found.predict(1e8) / law(coefficients)(1e8)).toBeCloseTo(1, 6);
    }));
  });

  it('reaches(y) is the first x beyond the points at which the curve is at y', () => {
    const { reaches, predict, r2 } = fitLogLogQuadratic(sample([10, 20, 40, 80], law([1, 0.5, 0.1])));
    expect(predict(reaches(1e4) as number)).toBeCloseTo(1e4, 3);
    expect(reaches(1e4)).toBeGreaterThan(80);
    expect(reaches(5)).toBeCloseTo(80, 10); // it is there already
    expect(r2).toBeCloseTo(1, 12);
  });

  it('reaches(y) of a curve that turns before y is undefined, and of a straight line is exact', () => {
    expect(fitLogLogQuadratic(sample([10, 20, 40], law([0, 2, -0.3]))).reaches(1e4)).toBeUndefined();
    expect(fitLogLogQuadratic(sample([10, 20, 40], (x) => 3 * x ** 2)).reaches(30000)).toBeCloseTo(100, 8);
    expect(fitLogLogQuadratic(sample([10, 20, 40], (x) => 1 / x)).reaches(1)).toBeUndefined();
  });

  it('refuses points that do not determine it', () => {
    expect(() => fitLogLogQuadratic([{ x: 1, y: 1 }, { x: 2, y: 1 }, { x: 2, y: 3 }])).toThrow(new ConfigError('fitLogLogQuadratic: points of different x must be an integer ≥ 3, got 2'));
    expect(() => fitLogLogQuadratic([{ x: 0, y: 1 }])).toThrow('points[0].x must be above 0, got 0');
    expect(() => fitLogLogQuadratic([{ x: 1, y: NaN }])).toThrow('points[0].y must be a finite number, got NaN');
  });
});

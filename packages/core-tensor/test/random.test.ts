import { normalValues, randomNormal, randomUniform, ShapeError, truncatedNormalValues, uniformValues } from '@evenkeel/core-tensor';
import { expectNoLeak, forEachBackend, readValues } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

const SIZE = 20_001;
const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((total, value) => total + value, 0) / values.length;
const moment = (values: ArrayLike<number>, power: number): number => mean(Array.from(values, (value) => value ** power));

describe('uniformValues(count, seed, min, max)', () => {
  it('uniformValues(…) fills [min, max) evenly', () => {
    const values = uniformValues(SIZE, 1, -2, 4);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-2);
    expect(Math.max(...values)).toBeLessThan(4);
    expect(mean(values)).toBeCloseTo(1, 1);
    expect(moment(values.map((value) => value - 1), 2)).toBeCloseTo(36 / 12, 1);
  });

  it('uniformValues(…) never rounds up to max', () => {
    const seed = 17339838; // its second word begins with 24 ones: the largest draw there is
    expect(uniformValues(2, seed, 0, 1)[1]).toBe(1 - 2 ** -24);
    expect(uniformValues(2, seed, 1, 2)[1]).toBeLessThan(2);
  });
});

describe('normalValues(count, seed)', () => {
  it('normalValues(…) has the moments of N(0, 1)', () => {
    const values = normalValues(SIZE, 2);
    expect(Math.abs(mean(values))).toBeLessThan(0.035);
    expect(Math.abs(moment(values, 2) - 1)).toBeLessThan(0.05);
    expect(Math.abs(moment(values, 3))).toBeLessThan(0.1);
    expect(Math.abs(moment(values, 4) - 3)).toBeLessThan(0.4);
    expect(values.every(Number.isFinite)).toBe(true);
  });

  it('normalValues(…) is a function of the seed, and a longer draw begins with a shorter one', () => {
    expect(normalValues(65, 3)).toEqual(normalValues(130, 3).subarray(0, 65));
    expect(normalValues(65, 3)).not.toEqual(normalValues(65, 4));
    expect(normalValues(1, 3)).toHaveLength(1);
    expect(normalValues(0, 3)).toHaveLength(0);
  });
});

describe('truncatedNormalValues(count, seed)', () => {
  it('truncatedNormalValues(…) stays within ±2 and has the standard deviation of a normal cut off there', () => {
    const values = truncatedNormalValues(SIZE, 5);
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(2);
    expect(Math.sqrt(moment(values, 2))).toBeCloseTo(0.8796, 1);
    expect(truncatedNormalValues(9, 5)).toEqual(truncatedNormalValues(9, 5));
  });
});

forEachBackend(() => {
  it('randomNormal(shape, { seed }) has the same values on every backend', async () => {
    const x = randomNormal([3, 65], { seed: 11, mean: 2, std: 0.5 });
    expect(x.shape).toEqual([3, 65]);
    expect((await readValues(x)).data).toEqual(Float64Array.from(Float32Array.from(normalValues(195, 11), (value) => 2 + 0.5 * value)));
  });

  it('randomUniform(shape, { seed }) has the same values on every backend', async () => {
    const x = randomUniform([130], { seed: 12, min: -1 });
    expect((await readValues(x)).data).toEqual(Float64Array.from(uniformValues(130, 12, -1, 1)));
    await expectNoLeak(() => randomUniform([3], { seed: 1 }));
  });
});

describe('random errors', () => {
  it('randomNormal(shape, options) refuses a standard deviation that is not positive', () => {
    expect(() => randomNormal([3], { seed: 1, std: 0 })).toThrow('randomNormal: std must be a positive number, got 0');
    expect(() => randomNormal([3], { seed: 1, std: 0 })).not.toThrow(ShapeError);
  });
});

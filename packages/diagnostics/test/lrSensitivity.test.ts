import { ConfigError } from '@evenkeel/core-tensor';
import { lrSensitivity } from '@evenkeel/diagnostics';
import { describe, expect, it } from 'vitest';

const RATES = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1];
const pointsOf = (losses: readonly number[]) => losses.map((loss, i) => ({ learningRate: RATES[i] as number, loss }));

describe('lrSensitivity(points, initialLoss)', () => {
  it('of a flat curve is 0', () => {
    expect(lrSensitivity(pointsOf([2, 2, 2, 2]), 4)).toBe(0);
  });

  it('is the mean of what is lost against the best', () => {
    expect(lrSensitivity(pointsOf([2.5, 2, 3, 9]), 4)).toBeCloseTo((0.5 + 0 + 1 + 2) / 4, 14);
  });

  it('counts a run that diverged as one that learned nothing', () => {
    const withNaN = lrSensitivity(pointsOf([2, NaN]), 4);
    expect(withNaN).toBe((4 - 2) / 2);
    expect(lrSensitivity(pointsOf([2, Infinity]), 4)).toBe(withNaN);
  });

  it('is 0 where nothing is learned at all, and never negative', () => {
    expect(lrSensitivity(pointsOf([NaN, 7, 5]), 4)).toBe(0);
  });

  it('takes the better of several windows, and their ends belong to them', () => {
    const points = pointsOf([4, 3, 2, 2, 2, 3, 4]);
    expect(lrSensitivity(points, 4, { windows: [[3e-4, 3e-3], [3e-3, 3e-2]] })).toBe(0);
    expect(lrSensitivity(points, 4, { windows: [[3e-4, 3e-3]] })).toBeCloseTo(1, 14);
  });

  it('refuses what it cannot average', () => {
    expect(() => lrSensitivity([], 4)).toThrow(new ConfigError('lrSensitivity: points must have a learning rate between 0 and Infinity, got 0 elsewhere'));
    expect(() => lrSensitivity(pointsOf([2]), 4, { windows: [[1, 2]] })).toThrow('between 1 and 2, got 1 elsewhere');
    expect(() => lrSensitivity(pointsOf([2]), 4, { windows: [] })).toThrow('lrSensitivity: windows must have at least one range, got none');
    expect(() => lrSensitivity([{ learningRate: 1, loss: -Infinity }], 4)).toThrow('points[0].loss must be a number, NaN or Infinity, got -Infinity');
    expect(() => lrSensitivity([{ learningRate: 1, loss: null as never }], 4)).toThrow('points[0].loss must be a number, NaN or Infinity, got null');
    expect(() => lrSensitivity([{ learningRate: 0, loss: 1 }], 4)).toThrow('points[0].learningRate must be a positive number, got 0');
    expect(() => lrSensitivity(pointsOf([2]), NaN)).toThrow('initialLoss must be a finite number, got NaN');
  });
});

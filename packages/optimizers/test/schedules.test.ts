import { constant, cosine, joinSchedules, warmupLinear } from '@evenkeel/optimizers';
import fc from 'fast-check';
import { expect, it } from 'vitest';

const shape = fc.record({ peak: fc.double({ min: 1e-6, max: 10, noNaN: true }), share: fc.double({ min: 0, max: 1, noNaN: true }), steps: fc.integer({ min: 1, max: 500 }) });

it('constant(value) is the value at every step', () => {
  expect([0, 5, 1e9].map(constant(0.3))).toEqual([0.3, 0.3, 0.3]);
});

it('warmupLinear({ peak, warmup }) rises in equal steps, is never 0 and stays at the peak', () => {
  expect([0, 1, 2, 3, 4, 99].map(warmupLinear({ peak: 1, warmup: 4 }))).toEqual([0.2, 0.4, 0.6, 0.8, 1, 1]);
  expect(warmupLinear({ peak: 2, warmup: 0 })(0)).toBe(2);
});

it('cosine({ peak, steps, warmup, floor }) passes peak, middle and floor where it should', () => {
  const schedule = cosine({ peak: 1, steps: 110, warmup: 10, floor: 0.2 });
  expect(schedule(9)).toBeCloseTo(10 / 11, 12);
  expect(schedule(10)).toBe(1);
  expect(schedule(60)).toBeCloseTo(0.6, 12);
  expect(schedule(110)).toBeCloseTo(0.2, 12);
  expect(schedule(5000)).toBeCloseTo(0.2, 12);
});

it('cosine(options) stays between floor and peak and never rises after the warm-up', () => {
  fc.assert(fc.property(shape, fc.double({ min: 0, max: 1, noNaN: true }), ({ peak, share, steps }, floorShare) => {
    const warmup = Math.min(steps - 1, Math.floor(share * steps));
    const floor = peak * floorShare;
    const schedule = cosine({ peak, steps, warmup, floor });
    const values = Array.from({ length: steps + 3 }, (_, step) => schedule(step));
    values.forEach((value, step) => {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(peak * (1 + 1e-12));
      if (step >= warmup) expect(value).toBeGreaterThanOrEqual(floor * (1 - 1e-12));
      if (step > warmup) expect(value).toBeLessThanOrEqual(values[step - 1]! * (1 + 1e-12));
    });
  }));
});

it('joinSchedules(phases) lets each schedule count from 0 and the last one run on', () => {
  const joined = joinSchedules([{ schedule: (step) => step, steps: 3 }, { schedule: (step) => 10 + step, steps: 2 }, { schedule: (step) => 100 + step }]);
  expect([0, 1, 2, 3, 4, 5, 6, 50].map(joined)).toEqual([0, 1, 2, 10, 11, 100, 101, 145]);
});

it('schedules refuse options that make no curve', () => {
  expect(() => constant(-1)).toThrow('constant: value must be between 0');
  expect(() => warmupLinear({ peak: 1, warmup: 1.5 })).toThrow('warmupLinear: warmup must be an integer ≥ 0, got 1.5');
  expect(() => cosine({ peak: 1, steps: 10, warmup: 10 })).toThrow('cosine: warmup must be below steps (10), got 10');
  expect(() => cosine({ peak: 1, steps: 10, floor: 2 })).toThrow('cosine: floor must be between 0 and 1, got 2');
  expect(() => cosine({ peak: NaN, steps: 10 })).toThrow('peak must be a positive number, got NaN');
  expect(() => joinSchedules([])).toThrow('joinSchedules: phases must have at least one schedule, got none');
  expect(() => joinSchedules([{ schedule: constant(1) }, { schedule: constant(1) }])).toThrow('joinSchedules: phases[0].steps must be an integer ≥ 1, got NaN');
});

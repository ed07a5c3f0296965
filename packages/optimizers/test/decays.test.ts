import { constant, cooldown, cosine, inverseSqrt, joinSchedules, linearDecay, polynomialDecay, warmupLinear, wsd } from '@evenkeel/optimizers';
import fc from 'fast-check';
import { expect, it } from 'vitest';

const options = fc.record({
  peak: fc.double({ min: 1e-6, max: 10, noNaN: true }), share: fc.double({ min: 0, max: 1, noNaN: true }), floorShare: fc.double({ min: 0, max: 1, noNaN: true }),
  steps: fc.integer({ min: 1, max: 300 }), power: fc.double({ min: 0.1, max: 4, noNaN: true }),
});

it('linearDecay({ peak, steps, warmup, floor }) rises, falls by equal steps and stays at the floor', () => {
  const schedule = linearDecay({ peak: 1, steps: 12, warmup: 2, floor: 0.5 });
  const values = Array.from({ length: 14 }, (_, step) => schedule(step));
  [1 / 3, 2 / 3, 1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.5].forEach((value, step) => expect(values[step]).toBeCloseTo(value, 12));
});

it('polynomialDecay({ power }) falls as that power of what is left', () => {
  const schedule = polynomialDecay({ peak: 2, steps: 100, power: 3 });
  expect([0, 50, 100, 101].map(schedule)).toEqual([2, 0.25, 0, 0]);
  expect(polynomialDecay({ peak: 4, steps: 10 })(5)).toBe(1);
});

it('polynomialDecay(options) stays between floor and peak and never rises after the warm-up', () => {
  fc.assert(fc.property(options, ({ peak, share, floorShare, steps, power }) => {
    const [warmup, floor] = [Math.min(steps - 1, Math.floor(share * steps)), peak * floorShare];
    const schedule = polynomialDecay({ peak, steps, warmup, floor, power });
    for (let step = 0; step < steps + 3; step++) {
      expect(schedule(step)).toBeLessThanOrEqual(peak * (1 + 1e-12));
      if (step >= warmup) expect(schedule(step)).toBeGreaterThanOrEqual(floor * (1 - 1e-12));
      if (step > warmup) expect(schedule(step)).toBeLessThanOrEqual(schedule(step - 1) * (1 + 1e-12));
    }
  }));
});

it('inverseSqrt({ peak, warmup }) reaches its peak after the warm-up and halves with four times the steps', () => {
  const schedule = inverseSqrt({ peak: 3, warmup: 99 });
  expect(schedule(0)).toBeCloseTo(0.03, 12);
  expect(schedule(99)).toBe(3);
  expect(schedule(399)).toBeCloseTo(1.5, 12);
  expect(schedule(1599)).toBeCloseTo(0.75, 12);
});

it('cooldown(schedule, { start, steps }) is the schedule until it falls from where it is', () => {
  const slow = inverseSqrt({ peak: 3, warmup: 99 });
  const ended = cooldown(slow, { start: 399, steps: 100, floor: 0.5 });
  for (const step of [0, 50, 99, 200, 398]) expect(ended(step)).toBe(slow(step));
  expect(ended(399)).toBeCloseTo(1.5, 12);
  expect(ended(424)).toBeCloseTo(1, 12); // 1 − √¼ of the way from 1.5 to 0.5
  expect([499, 5000].map(ended)).toEqual([0.5, 0.5]);
  expect(cooldown(constant(2), { start: 0, steps: 4, shape: 'linear' })(1)).toBe(1.5);
  const same = wsd({ peak: 2, steps: 100, warmup: 10, decay: 20 });
  const joined = cooldown(warmupLinear({ peak: 2, warmup: 10 }), { start: 80, steps: 20 });
  for (let step = 0; step < 110; step++) expect(joined(step)).toBe(same(step));
});

it('schedules say what their peak is, where they know', () => {
  const plain = (step: number): number => step;
  expect([
    constant(2), warmupLinear({ peak: 3, warmup: 1 }), cosine({ peak: 4, steps: 9 }), linearDecay({ peak: 5, steps: 9 }), polynomialDecay({ peak: 6, steps: 9 }),
    inverseSqrt({ peak: 7, warmup: 1 }), wsd({ peak: 8, steps: 9 }), cooldown(constant(9), { start: 1, steps: 1 }), joinSchedules([{ schedule: constant(1), steps: 5 }, { schedule: constant(10) }]),
    cooldown(plain, { start: 1, steps: 1 }), joinSchedules([{ schedule: plain, steps: 1 }, { schedule: constant(1) }]),
  ].map(({ peak }) => peak)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, undefined, undefined]);
});

it('decays refuse options that make no curve', () => {
  expect(() => linearDecay({ peak: 1, steps: 10, warmup: 10 })).toThrow('linearDecay: warmup must be below steps (10), got 10');
  expect(() => linearDecay({ peak: 1, steps: 10, floor: 2 })).toThrow('linearDecay: floor must be between 0 and 1, got 2');
  expect(() => polynomialDecay({ peak: 1, steps: 10, power: 0 })).toThrow('polynomialDecay: power must be a positive number, got 0');
  expect(() => inverseSqrt({ peak: 1, warmup: 0 })).toThrow('inverseSqrt: warmup must be an integer ≥ 1, got 0');
  expect(() => inverseSqrt({ peak: -1, warmup: 5 })).toThrow('inverseSqrt: peak must be a positive number, got -1');
  expect(() => cooldown(constant(1), { start: -1, steps: 1 })).toThrow('cooldown: start must be an integer ≥ 0, got -1');
  expect(() => cooldown(constant(1), { start: 0, steps: 0 })).toThrow('cooldown: steps must be an integer ≥ 1, got 0');
  expect(() => cooldown(constant(1), { start: 0, steps: 1, floor: 2 })).toThrow('cooldown: floor must be between 0 and 1, got 2');
  expect(() => cooldown(constant(1), { start: 0, steps: 1, shape: 'exp' as 'sqrt' })).toThrow('cooldown: shape must be one of sqrt, linear, cosine, got exp');
});

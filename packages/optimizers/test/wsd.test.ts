import { wsd } from '@evenkeel/optimizers';
import fc from 'fast-check';
import { expect, it } from 'vitest';

it('wsd({ peak, steps, warmup, decay }) warms up, stays, and falls to the floor', () => {
  const schedule = wsd({ peak: 1, steps: 100, warmup: 4, decay: 25, floor: 0.1, shape: 'linear' });
  expect([0, 3, 4, 50, 75].map(schedule)).toEqual([0.2, 0.8, 1, 1, 1]);
  expect(schedule(80)).toBeCloseTo(0.1 + 0.9 * 0.8, 12);
  expect([100, 1000].map(schedule)).toEqual([0.1, 0.1]);
});

it('wsd({ steps }) falls over the last fifth as 1 − √progress by default', () => {
  const schedule = wsd({ peak: 1, steps: 100 });
  expect(schedule(79)).toBe(1);
  expect(schedule(85)).toBeCloseTo(0.5, 12);
  expect(schedule(100)).toBe(0);
  expect(wsd({ peak: 1, steps: 100, shape: 'cosine' })(90)).toBeCloseTo(0.5, 12);
});

it('wsd({ steps }) does not depend on steps before its decay, so a run can be prolonged', () => {
  const [short, long] = [wsd({ peak: 3, steps: 100, warmup: 10, decay: 20 }), wsd({ peak: 3, steps: 1000, warmup: 10, decay: 20 })];
  for (let step = 0; step <= 80; step++) expect(short(step)).toBe(long(step));
});

it('wsd(options) stays in range and only falls after the warm-up, for every shape', () => {
  const options = fc.record({
    peak: fc.double({ min: 1e-6, max: 10, noNaN: true }), steps: fc.integer({ min: 2, max: 300 }), shares: fc.tuple(fc.double({ min: 0, max: 0.5, noNaN: true }), fc.double({ min: 0, max: 0.5, noNaN: true })),
    shape: fc.constantFrom('sqrt' as const, 'linear' as const, 'cosine' as const),
  });
  fc.assert(fc.property(options, ({ peak, steps, shares, shape }) => {
    const [warmup, decay] = [Math.floor(shares[0] * steps), Math.max(1, Math.floor(shares[1] * steps))];
    const schedule = wsd({ peak, steps, warmup, decay, shape });
    for (let step = 0; step <= steps; step++) {
      expect(schedule(step)).toBeGreaterThanOrEqual(0);
      expect(schedule(step)).toBeLessThanOrEqual(peak);
      if (step > warmup) expect(schedule(step)).toBeLessThanOrEqual(schedule(step - 1));
    }
    expect(schedule(steps)).toBe(0);
  }));
});

it('wsd(options) refuses parts that do not fit', () => {
  expect(() => wsd({ peak: 1, steps: 10, warmup: 6, decay: 5 })).toThrow('wsd: warmup + decay must be at most steps (10), got 6 + 5');
  expect(() => wsd({ peak: 1, steps: 10, decay: 0 })).toThrow('wsd: decay must be an integer ≥ 1, got 0');
  expect(() => wsd({ peak: 1, steps: 10, shape: 'exp' as 'sqrt' })).toThrow('wsd: shape must be one of sqrt, linear, cosine, got exp');
});

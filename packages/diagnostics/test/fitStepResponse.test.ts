import { firstOrderStepResponse, fitFirstOrderStepResponse, fitSecondOrderStepResponse, secondOrderStepResponse } from '@evenkeel/diagnostics';
import { describe, expect, it } from 'vitest';

const STEPS = Array.from({ length: 40 }, (_, i) => 25 * i);

/** y″ + 2ζω y′ + ω² y = ω² K from rest, by the classical Runge-Kutta method. */
function simulate(until: number, { K, omega, zeta }: { K: number; omega: number; zeta: number }): number {
  const slope = ([y, v]: readonly [number, number]): [number, number] => [v, omega * omega * (K - y) - 2 * zeta * omega * v];
  let state: [number, number] = [0, 0];
  const h = until / 4000;
  const at = (k: readonly [number, number], by: number): [number, number] => [state[0] + by * k[0], state[1] + by * k[1]];
  for (let i = 0; i < 4000; i++) {
    const a = slope(state);
    const b = slope(at(a, h / 2));
    const c = slope(at(b, h / 2));
    const d = slope(at(c, h));
    state = [0, 1].map((k) => state[k]! + (h / 6) * (a[k]! + 2 * b[k]! + 2 * c[k]! + d[k]!)) as [number, number];
  }
  return state[0];
}

describe('step responses', () => {
  it('secondOrderStepResponse(t, …) solves its differential equation, whatever the damping', () => {
    for (const zeta of [0.05, 0.5, 1, 1.0000001, 2, 10]) {
      const parameters = { K: 3, omega: 0.02, zeta };
      expect(Math.abs(secondOrderStepResponse(300, parameters) - simulate(300, parameters))).toBeLessThan(1e-6);
    }
  });

  it('fitFirstOrderStepResponse recovers gain and time', () => {
    const found = fitFirstOrderStepResponse(STEPS.map((x) => ({ x, y: firstOrderStepResponse(x, { K: 7, tau: 130 }) })));
    expect(found).toMatchObject({ K: expect.closeTo(7, 6), tau: expect.closeTo(130, 4), r2: expect.closeTo(1, 9) });
  });

  it('fitSecondOrderStepResponse recovers gain, frequency and damping', () => {
    for (const zeta of [0.2, 0.9, 1, 3]) {
      const truth = { K: 7, omega: 0.02, zeta };
      const found = fitSecondOrderStepResponse(STEPS.map((x) => ({ x, y: secondOrderStepResponse(x, truth) })));
      expect(found).toMatchObject({ K: expect.closeTo(7, 3), omega: expect.closeTo(0.02, 5), zeta: expect.closeTo(zeta, 3), r2: expect.closeTo(1, 7) });
    }
  });

  it('aic counts parameters: of two perfect descriptions of noise the simpler one wins', () => {
    const points = STEPS.map((x, i) => ({ x, y: firstOrderStepResponse(x, { K: 7, tau: 130 }) + (i % 2 === 0 ? 0.1 : -0.1) }));
    const [first, second] = [fitFirstOrderStepResponse(points), fitSecondOrderStepResponse(points)];
    const sse = points.reduce((sum, { x, y }) => sum + (y - firstOrderStepResponse(x, first)) ** 2, 0);
    expect(first.aic).toBeCloseTo(40 * Math.log(sse / 40) + 4, 9);
    expect(first.aic).toBeLessThan(second.aic);
  });

  it('refuses too few points', () => {
    expect(() => fitFirstOrderStepResponse([{ x: 0, y: 0 }, { x: 1, y: 1 }])).toThrow('fitFirstOrderStepResponse: points of different x must be an integer ≥ 3, got 2');
    expect(() => fitSecondOrderStepResponse([{ x: 0, y: 0 }])).toThrow('fitSecondOrderStepResponse: points of different x must be an integer ≥ 4, got 1');
  });
});

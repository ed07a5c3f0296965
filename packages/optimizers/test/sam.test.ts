import { add, mul, square, sum, tensor1d, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { captureStep, GPU_BACKEND, param, type Tree } from '@evenkeel/core-tensor';
import { applyUpdates, sam, sgd } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend, randomArray } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free, snapshot } from './helpers.ts';
import { norm64 } from './trajectory.ts';

type Params = { a: Variable; deep: [{ b: Variable }] };
const [A, B] = [randomArray(65, { seed: 1 }), randomArray(3, { seed: 2 })];
const [CURVE_A, CURVE_B] = [randomArray(65, { seed: 3 }), randomArray(3, { seed: 4 })];
const make = (): Params => ({ a: param(() => tensor1d(A)), deep: [{ b: param(() => tensor1d(B)) }] });

/** Σ c x³/3 over both, so that the gradient is c x² and differs at a neighbour. */
const loss = (params: Params): Tensor => {
  const cubic = (x: Tensor, c: Float32Array): Tensor => sum(mul(mul(x, square(x)), tensor1d(c.map((value) => value / 3))));
  return add(cubic(params.a, CURVE_A), cubic(params.deep[0].b, CURVE_B));
};

/** The gradient at the neighbour, in float64. */
function sam64({ rho, eta }: { rho: number; eta?: number }): Float64Array {
  const [p, c] = [Float64Array.of(...A, ...B), Float64Array.of(...CURVE_A, ...CURVE_B)];
  const g = p.map((value, i) => c[i]! * value ** 2);
  const t = p.map((value) => (eta === undefined ? 1 : Math.abs(value) + eta));
  const length = norm64(g.map((value, i) => t[i]! * value));
  return p.map((value, i) => c[i]! * (value + (rho * t[i]! ** 2 * g[i]!) / length) ** 2);
}

forEachBackend(() => {
  it.each([['sam({ rho })', { rho: 0.3 }], ['sam({ rho, adaptive: true })', { rho: 0.7, eta: 0.05, adaptive: true }]] as const)('%s is the gradient at the worst neighbour, with the loss where it was', async (_, options) => {
    const params = make();
    const { value, grads } = sam(options)(loss, params);
    const expected = sam64(options);
    const { a, deep: [{ b }] } = grads as unknown as { a: Tensor; deep: [{ b: Tensor }] };
    await expectClose(a, expected.subarray(0, 65), { rtol: 2e-5, atol: 5e-6 });
    await expectClose(b, expected.subarray(65), { rtol: 2e-5, atol: 5e-6 });
    const plain = loss(params);
    await expectClose(value, plain);
    expect([...await params.a.data()]).toEqual([...A]);
    free(params, value, grads, plain);
  });

  it('sam() leaks nothing, also where the loss fails at the neighbour, and gives zeros where there is no gradient', async () => {
    const params = make();
    await expectNoLeak(() => sam()(loss, params) as unknown as { value: Tensor; grads: Params });
    let calls = 0;
    const failing = (p: Params): Tensor => {
      if (++calls === 2) throw new Error('at the neighbour');
      return loss(p);
    };
    await expectNoLeak(() => sam()(failing, params) as unknown as { value: Tensor }, { throws: 'at the neighbour' });
    const flat = sam()((p) => sum(mul(add(sum(p.a), sum(p.deep[0].b)), 0)), params);
    expect(Object.values(await snapshot(flat.grads)).flat().every((value) => value === 0)).toBe(true);
    free(params, flat.value, flat.grads);
  });

  it('sam() treats a parameter that stands at two places as one', async () => {
    const tied = param(() => tensor1d([1, 2]));
    const twice = { x: tied, y: tied };
    const { value, grads } = sam({ rho: 0.5 })((p: typeof twice) => add(sum(square(p.x)), sum(square(p.y))), twice);
    const single = { x: tied };
    const alone = sam({ rho: 0.5 })((p: typeof single) => mul(sum(square(p.x)), 2), single);
    const [ours, theirs] = [grads as unknown as typeof twice, alone.grads as unknown as typeof single];
    await expectClose(ours.x, theirs.x);
    await expectClose(ours.y, theirs.x);
    free(tied, value, grads, alone.value, alone.grads);
  });

  it('sam() with an optimizer converges on a quadratic to within its radius', async () => {
    const params = make();
    const optimizer = sgd({ learningRate: 0.1 });
    const state = optimizer.init(params);
    for (let i = 0; i < 100; i++) {
      const { value, grads } = sam({ rho: 0.05 })((p: Params) => add(sum(square(p.a)), sum(square(p.deep[0].b))), params);
      const updates = optimizer.update(grads, state, params);
      applyUpdates(params, updates);
      free(value, grads, updates);
    }
    expect(norm64(Object.values(await snapshot(params)).flat())).toBeLessThan(0.05);
    free(params, state);
  });
});

forEachBackend([GPU_BACKEND], () => {
  it('sam() can be captured: nothing is read back', async () => {
    const params = make();
    const captured = captureStep((scale: Tensor) => {
      const { value, grads } = sam({ rho: 0.1 })((p: Params) => mul(loss(p), scale), params);
      return { value, grads: grads as unknown as Tree<Tensor> };
    });
    const scale = tensor1d([1]);
    for (let i = 0; i < 4; i++) free(captured(scale));
    expect(captured.status().state).toBe('captured');
    captured.dispose();
    free(params, scale);
  });
});

it('sam(options) out of range names the option', () => {
  expect(() => sam({ rho: 0 })).toThrow('sam: rho must be a positive number, got 0');
  expect(() => sam({ eta: -1 })).toThrow('sam: eta must be between 0');
});

import { GPU_BACKEND, StepNumber, type GpuBackend } from '@evenkeel/core-tensor';
import { expectClose, forEachBackend, randomArray } from '@evenkeel/testing';
import { backend, clone, dispose, engine, fill, tensor, type NamedAttrMap, type NamedTensorMap, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it, vi } from 'vitest';

const ATTRS = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, correction1: 0.271, correction2: 0.002997001 };
const SMALLEST_NORMAL = 2 ** -126;

/** More tensors than one launch binds; one is empty, one is longer than a workgroup's share. */
const SIZES = Array.from({ length: 23 }, (_, i) => (i === 7 ? 0 : i === 11 ? 40_001 : 1 + ((i * 37) % 130)));

const arrays = (seed: number, change = (value: number) => value): Float32Array[] => SIZES.map((size, i) => randomArray(size, { seed: 100 * seed + i }).map(change));
const listed = (name: string, list: readonly Float32Array[]): Record<string, Tensor> => Object.fromEntries(list.map((values, i) => [`${name}.${i}`, tensor(values)]));
const run = (name: string, inputs: Record<string, Tensor>, attrs: object = {}): Tensor[] => [engine().runKernel(name, inputs as NamedTensorMap, attrs as NamedAttrMap)].flat() as Tensor[];

/** withBindings — `f` on a device that binds at most so many tensors in a launch. */
function withBindings(most: number, f: () => Tensor[]): Tensor[] {
  const gpu = backend() as unknown as { limits: GpuBackend['limits'] };
  const { limits } = gpu;
  gpu.limits = { ...limits, maxStorageBuffersPerShaderStage: Math.min(most, limits.maxStorageBuffersPerShaderStage) };
  try {
    return f();
  } finally {
    gpu.limits = limits;
  }
}

/** launches — the programs that `f` starts, by name. */
function launches(f: () => void): string[] {
  const dispatch = vi.spyOn(backend() as unknown as GpuBackend, 'dispatch');
  f();
  const names = dispatch.mock.calls.map(([{ name }]) => name);
  dispatch.mockRestore();
  return names;
}

forEachBackend([GPU_BACKEND], () => {
  describe('kernels over lists', () => {
    it.each([8, 10, Infinity])('evenkeel/adamw steps more tensors than one launch binds, each with its own decay, where at most %i may be bound', async (most) => {
      const [param, grad, mu, nu] = [arrays(1), arrays(2), arrays(3), arrays(4, Math.abs)];
      const weightDecays = SIZES.map((_, i) => (i % 3) / 10);
      const inputs = { ...listed('param', param), ...listed('grad', grad), ...listed('mu', mu), ...listed('nu', nu) };
      const updates = withBindings(most, () => run('evenkeel/adamw', inputs, { ...ATTRS, weightDecays }));
      for (const [i, update] of updates.entries()) {
        const decay = weightDecays[i]!;
        const expected = Float64Array.from(param[i]!, (p, at) => {
          const [m, n] = [0.9 * mu[i]![at]! + 0.1 * grad[i]![at]!, 0.999 * nu[i]![at]! + 0.001 * grad[i]![at]! ** 2];
          return -0.01 * (m / 0.271 / (Math.sqrt(n / 0.002997001) + 1e-8) + decay * p);
        });
        await expectClose(update, expected, { rtol: 3e-6, atol: 1e-8 });
      }
      await expectClose(inputs['mu.11']!, Float64Array.from(mu[11]!, (m, at) => 0.9 * m + 0.1 * grad[11]![at]!), { rtol: 1e-6, atol: 1e-7 });
      dispose([inputs, updates]);
    });

    it('evenkeel/adamw reads a StepNumber anew for each launch', async () => {
      let rate = 1;
      const inputs = { 'param.0': fill([3], 1), 'grad.0': fill([3], 1), 'mu.0': fill([3], 0), 'nu.0': fill([3], 0) };
      const attrs = { ...ATTRS, beta1: 0, beta2: 0, correction1: 1, correction2: 1, weightDecays: [0], learningRate: new StepNumber(() => rate) };
      const [first] = run('evenkeel/adamw', inputs, attrs);
      rate = 0.25;
      attrs.learningRate.renew();
      const [second] = run('evenkeel/adamw', inputs, attrs);
      await expectClose(first!, [-1, -1, -1], { rtol: 1e-6 });
      await expectClose(second!, [-0.25, -0.25, -0.25], { rtol: 1e-6 });
      dispose([inputs, first!, second!]);
    });

    it('evenkeel/adamw lets the moments of a zero gradient decay to zero, not to denormal numbers', async () => {
      const [mu, nu] = [fill([7], -1.5e-38), fill([7], 1.18e-38)];
      const inputs = { 'param.0': fill([7], 1), 'grad.0': fill([7], 0), 'mu.0': mu, 'nu.0': nu };
      for (let step = 0; step < 5; step++) {
        dispose(run('evenkeel/adamw', inputs, { ...ATTRS, weightDecays: [0] }));
        for (const value of [...await mu.data(), ...await nu.data()]) expect(value === 0 || Math.abs(value) >= SMALLEST_NORMAL).toBe(true);
      }
      expect([...await mu.data()].map(Math.abs)).toEqual(Array(7).fill(0));
      dispose(inputs);
    });

    it.each([8, 10, Infinity])('evenkeel/momentum steps more tensors than one launch binds, each with its own numbers, where at most %i may be bound', async (most) => {
      const [param, grad, mu, factors] = [arrays(1), arrays(2), arrays(3), randomArray(SIZES.length, { seed: 9 })];
      const numbers = (count: number) => SIZES.map((_, i) => (i % count) / 10);
      const [weightDecays, penalties, scales] = [numbers(3), numbers(4), numbers(5)];
      const inputs: Record<string, Tensor> = { ...listed('param', param), ...listed('grad', grad), ...listed('mu', mu), 'factor.0': tensor(factors), 'outFactor.0': tensor(factors.map((value) => value + 1)) };
      const attrs = { learningRate: 0.5, keep: 0.9, take: 0.3, aheadKeep: 0.7, aheadTake: 0.2, weightDecays, penalties, scales };
      const updates = withBindings(most, () => run('evenkeel/momentum', inputs, attrs));
      for (const [i, update] of updates.entries()) {
        const scaled = Float64Array.from(grad[i]!, (g, at) => factors[i]! * (g + penalties[i]! * param[i]![at]!));
        await expectClose(update, scaled.map((g, at) => -0.5 * scales[i]! * ((factors[i]! + 1) * (0.7 * mu[i]![at]! + 0.2 * g) + weightDecays[i]! * param[i]![at]!)), { rtol: 3e-6, atol: 1e-6 });
        await expectClose(inputs[`mu.${i}`]!, scaled.map((g, at) => 0.9 * mu[i]![at]! + 0.3 * g), { rtol: 1e-6, atol: 1e-6 });
      }
      dispose([inputs, updates]);
    });

    it('evenkeel/means and evenkeel/meanSquares put each tensor\'s number at its place, for more tensors than one launch has room for', async () => {
      const count = 70;
      const x = Array.from({ length: count }, (_, i) => randomArray(i === 40 ? 50_001 : 1 + ((i * 53) % 97), { seed: i, mean: i }));
      const inputs = listed('x', x);
      const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
      const [means] = withBindings(8, () => run('evenkeel/means', inputs));
      await expectClose(means!, x.map(mean), { rtol: 1e-5, atol: 1e-5 });
      const unless = tensor(x.map((_, i) => i % 2));
      const [squares] = withBindings(8, () => run('evenkeel/meanSquares', { ...inputs, 'centre.0': means!, 'unless.0': unless }));
      const variance = (values: Float32Array, centre = mean(values)): number => mean(Float64Array.from(values, (value) => (value - centre) ** 2));
      await expectClose(squares!, x.map((values, i) => (i % 2 === 1 ? 0 : variance(values))), { rtol: 1e-4, atol: 1e-5 });
      dispose([inputs, means!, unless, squares!]);
    });

    it('evenkeel/rowColumnSquares and evenkeel/factoredRoots reach every row and column of many matrices', async () => {
      const shapes = [[300, 5], [5, 300], [1, 1000], [65, 33], [2, 2], [33, 1], [70, 70]] as const;
      const x = shapes.map(([rows, columns], i) => randomArray(rows * columns, { seed: i }));
      const columns = shapes.map(([, each]) => each);
      const inputs = listed('x', x);
      const all = withBindings(6, () => run('evenkeel/rowColumnSquares', inputs, { columns, eps: 0.25 }));
      const [rowMeans, columnMeans] = [all.slice(0, shapes.length), all.slice(shapes.length)];
      const [means] = run('evenkeel/means', Object.fromEntries(rowMeans.map((each, i) => [`x.${i}`, each])));
      const roots = run('evenkeel/factoredRoots', {
        ...inputs, 'mean.0': means!, ...Object.fromEntries(rowMeans.map((each, i) => [`row.${i}`, each])), ...Object.fromEntries(columnMeans.map((each, i) => [`column.${i}`, each])),
      }, { columns });
      for (const [i, [r, c]] of shapes.entries()) {
        const meanOf = (length: number, at: (k: number) => number): number => Array.from({ length }, (_, k) => at(k)).reduce((sum, k) => sum + x[i]![k]! ** 2, 0) / length + 0.25;
        const row = Array.from({ length: r }, (_, a) => meanOf(c, (b) => a * c + b));
        const column = Array.from({ length: c }, (_, b) => meanOf(r, (a) => a * c + b));
        await expectClose(rowMeans[i]!, row);
        await expectClose(columnMeans[i]!, column);
        const whole = row.reduce((sum, value) => sum + value, 0) / r;
        await expectClose(roots[i]!, x[i]!.map((value, at) => value / Math.sqrt((row[Math.floor(at / c)]! * column[at % c]!) / whole)));
      }
      dispose([inputs, all, means!, roots]);
    });

    it('evenkeel/momentum reads StepNumbers anew for each launch, and lets the moment of a zero gradient decay to zero', async () => {
      let [rate, take] = [1, 1];
      const inputs = { 'param.0': fill([3], 1), 'grad.0': fill([3], 1), 'mu.0': fill([3], 0) };
      const attrs = { learningRate: new StepNumber(() => rate), keep: 0.5, take: new StepNumber(() => take), aheadKeep: 0.5, aheadTake: 1, weightDecays: [0] };
      const [first] = run('evenkeel/momentum', inputs, attrs);
      [rate, take] = [0.25, 0];
      attrs.learningRate.renew();
      attrs.take.renew();
      const [second] = run('evenkeel/momentum', inputs, attrs);
      await expectClose(first!, [-1, -1, -1]);
      await expectClose(second!, [-0.375, -0.375, -0.375]);
      for (let i = 0; i < 130; i++) dispose(run('evenkeel/momentum', inputs, attrs));
      expect([...await inputs['mu.0'].data()]).toEqual([0, 0, 0]);
      dispose([inputs, first!, second!]);
    });

    it('evenkeel/scaledSums and evenkeel/addScaled do not read y where b is 0, be it NaN', async () => {
      const [x, y] = [arrays(5), arrays(6, () => NaN)];
      const inputs = { ...listed('x', x), ...listed('y', y) };
      const sums = withBindings(8, () => run('evenkeel/scaledSums', inputs, { a: 2, bs: SIZES.map(() => 0) }));
      run('evenkeel/addScaled', inputs, { a: 3, b: 0 });
      for (const i of SIZES.keys()) {
        await expectClose(sums[i]!, x[i]!.map((value) => 2 * value), { rtol: 0 });
        await expectClose(inputs[`x.${i}`]!, x[i]!.map((value) => 3 * value), { rtol: 1e-7 });
      }
      dispose([inputs, sums]);
    });

    it('evenkeel/globalNorm adds all tensors, the same bits every time; its squares may overflow to Infinity', async () => {
      const x = arrays(7);
      const inputs = listed('x', x);
      const norms = [run('evenkeel/globalNorm', inputs)[0]!, run('evenkeel/globalNorm', inputs)[0]!] as const;
      const expected = Math.sqrt(x.reduce((sum, values) => values.reduce((part, value) => part + value ** 2, sum), 0));
      await expectClose(await norms[0].data() as Float32Array, [expected], { rtol: 3e-7 });
      expect(await norms[1].data()).toEqual(await norms[0].data());
      const large = listed('x', [new Float32Array(5).fill(1.5e19)]);
      const [overflow] = run('evenkeel/globalNorm', large);
      expect([...await overflow!.data()]).toEqual([Infinity]);
      const [none] = run('evenkeel/globalNorm', listed('x', [new Float32Array(0)]));
      expect([...await none!.data()]).toEqual([0]);
      dispose([inputs, ...norms, large, overflow!, none!]);
    });

    it('need few launches: as many tensors in each as the device binds', () => {
      const count = 50;
      const most = (backend() as unknown as GpuBackend).limits.maxStorageBuffersPerShaderStage;
      const list = (name: string) => listed(name, Array.from({ length: count }, () => new Float32Array(5).fill(1)));
      const inputs = { ...list('param'), ...list('grad'), ...list('mu'), ...list('nu') };
      const weightDecays = Array.from({ length: count }, () => 0);
      const names = launches(() => dispose(run('evenkeel/adamw', inputs, { ...ATTRS, weightDecays })));
      expect(names).toEqual(Array(Math.ceil(count / Math.floor(most / 5))).fill('adamw'));
      const momentum = { learningRate: 0.1, keep: 0.9, take: 1, aheadKeep: 1, aheadTake: 0, sign: false, weightDecays };
      const { steps, sgd } = { steps: launches(() => dispose(run('evenkeel/momentum', { ...list('param'), ...list('grad'), ...list('mu') }, momentum))), sgd: Math.ceil(count / Math.floor(most / 4)) };
      expect(steps).toEqual(Array(sgd).fill('momentum'));
      const xs = list('x');
      const norm = launches(() => dispose(run('evenkeel/globalNorm', xs)));
      expect(norm).toEqual([...Array(Math.ceil(count / Math.min(8, most - 1))).fill('squares'), 'rootOfSum']);
      dispose([inputs, xs]);
    });

    it('refuse lists of other lengths or sizes, and values that two tensors share', () => {
      const [x, y, short] = [fill([7], 1), fill([7], 1), fill([3], 1)];
      const adding = (inputs: Record<string, Tensor>) => () => run('evenkeel/addScaled', inputs, { a: 1, b: 1 });
      expect(adding({ 'x.0': x, 'y.0': short })).toThrow('addScaled: y.0 must have 7 elements, got 3');
      expect(adding({ 'x.0': x })).toThrow('addScaled: y must have 1 tensors, got 0');
      const copy = clone(x);
      expect(adding({ 'x.0': x, 'y.0': y })).toThrow('addScaled: x.0 must have values of its own, got values that 2 tensors share');
      dispose([x, y, short, copy]);
    });
  });
});

import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { add, cast, complex, cos, dispose, engine, maximum, mul, real, setBackend, sigmoid, sin, square, sub, tanh, tensor, tidy, transpose, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const floats = (f: (i: number) => number, length = 1001): Float32Array => Float32Array.from({ length }, (_, i) => f(i - (length - 1) / 2));

async function expectOf(f: (x: Tensor) => Tensor, exact: (x: number) => number, values: Float32Array, tolerance: { rtol: number; atol: number }): Promise<void> {
  const x = tensor(values);
  const y = f(x);
  await expectClose(y, Float64Array.from(values, exact), tolerance);
  dispose([x, y]);
}

forEachBackend([GPU_BACKEND], () => {
  describe('elementwise kernels', () => {
    it('sin and cos stay exact for angles as large as positions are', async () => {
      for (const scale of [0.01, 1, 31.7, 200]) {
        await expectOf(sin, Math.sin, floats((i) => i * scale), { rtol: 0, atol: 3e-7 });
        await expectOf(cos, Math.cos, floats((i) => i * scale), { rtol: 0, atol: 3e-7 });
      }
    });

    it('tanh keeps its relative accuracy near 0 and its limits far away', async () => {
      await expectOf(tanh, Math.tanh, floats((i) => i * 1e-5), { rtol: 1e-6, atol: 0 });
      await expectOf(tanh, Math.tanh, floats((i) => i / 4), { rtol: 1e-6, atol: 0 });
      await expectOf(sigmoid, (x) => 1 / (1 + Math.exp(-x)), floats((i) => i / 4), { rtol: 3e-5, atol: 1e-30 });
    });

    it('cast(x, int32) goes as JavaScript does, also beyond 2³¹, for infinities and for NaN', async () => {
      const values = Float32Array.of(0, -0, 0.99, -0.99, 1.5, -1.5, 8388607.5, -16777216, 2 ** 31, -(2 ** 31), 3e9, -5e9, 2 ** 52, 1e30, Infinity, -Infinity, NaN, 1e-40);
      const x = tensor(values);
      const y = cast(x, 'int32');
      expect(await y.data()).toEqual(Int32Array.from(values, (value) => value | 0));
      dispose([x, y]);
    });

    it('cast(x, float32) of integers gives floats that kernels of ours can read in place', async () => {
      const x = tensor([1, 2, 300], [3], 'int32');
      const y = cast(x, 'float32');
      const zero = tensor([0, 0, 0]);
      engine().runKernel('evenkeel/addScaled', { 'x.0': y, 'y.0': zero }, { a: 0.5, b: 1 });
      await expectClose(y, [0.5, 1, 150], { rtol: 0 });
      dispose([x, y, zero]);
    });

    it('tensors that the CPU backend had cast without converting them are read as what they are called, and written over', async () => {
      await setBackend('cpu');
      const counts = tensor([1, 2, 3], [3], 'int32');
      const [shared, own] = [cast(counts, 'float32'), tidy(() => cast(tensor([4, 5, 6], [3], 'int32'), 'float32'))];
      await setBackend(GPU_BACKEND);
      const half = tensor([0.5, 0.5, 0.5]);
      const results = [mul(shared, half), mul(counts, counts), mul(shared, half)] as const;
      square(own).dispose(); // brings the values here
      engine().runKernel('evenkeel/addScaled', { 'x.0': own, 'y.0': half }, { a: 0.5, b: 1 });
      await expectClose(results[0], [0.5, 1, 1.5], { rtol: 0 });
      expect([...await results[1].data()]).toEqual([1, 4, 9]);
      await expectClose(results[2], [0.5, 1, 1.5], { rtol: 0 });
      await expectClose(own, [2.5, 3, 3.5], { rtol: 0 });
      dispose([counts, shared, own, half, ...results]);
    });

    it('what no program here does goes to tfjs: mixed dtypes, complex numbers', async () => {
      const [a, b] = [tensor([1, 2], [2], 'int32'), tensor([0.5, 0.25])];
      const mixed = engine().runKernel('Add', { a, b }) as Tensor;
      await expectClose(mixed, [1.5, 2.25], { rtol: 0 });
      const z = complex(b, b);
      const doubled = add(z, z);
      const part = real(doubled);
      await expectClose(part, [1, 0.5], { rtol: 0 });
      dispose([a, b, mixed, z, doubled, part]);
    });

    it('adds its results and frees the rest, and int32 wraps around', async () => {
      const [a, b] = [tensor([2 ** 31 - 1, -5], [2], 'int32'), tensor([1, 3], [2], 'int32')];
      await expectNoLeak(() => maximum(a, b));
      const results = [add(a, b), sub(a, b), mul(a, b), maximum(a, b)] as const;
      expect(await Promise.all(results.map(async (t) => [...await t.data()]))).toEqual([[-(2 ** 31), -2], [2 ** 31 - 2, -8], [2 ** 31 - 1, -15], [2 ** 31 - 1, 3]]);
      dispose([a, b, ...results]);
    });
  });

  it('transpose(x) of a matrix of many odd tiles moves every element, and shares its values where nothing moves', async () => {
    const [rows, columns] = [133, 301];
    const values = Float32Array.from({ length: rows * columns }, (_, i) => i);
    const x = tensor(values, [rows, 1, columns]);
    const y = transpose(x, [2, 1, 0]);
    await expectClose(y, Float32Array.from({ length: rows * columns }, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!), { rtol: 0 });
    const same = transpose(x, [1, 0, 2]);
    expect(same.shape).toEqual([1, rows, columns]);
    expect(same.dataId).toBe(x.dataId);
    dispose([x, y, same]);
  });
});

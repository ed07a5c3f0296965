import { BatchMatMul, engine, fused, matMul, mul, setBackend, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { BACKEND_NAME } from '@evenkeel/wasm-kernels';
import { expectClose, expectNoLeak, matMul64, randomArray, randomTensor } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { describeVariants, useWasm } from './variants.ts';

const SIZES = [[1, 1, 1], [1, 65, 130], [3, 1, 65], [65, 3, 1], [130, 130, 300], [7, 9, 513], [4, 33, 17], [5, 8, 256], [97, 520, 31], [96, 16, 257]] as const;
const FORMS = [[false, false], [false, true], [true, false], [true, true]] as const;
/** Sums of k products of unit normals: the error grows with √k. */
const tolerance = (k: number) => ({ rtol: 1e-5, atol: 1e-6 * Math.max(1, Math.sqrt(k)) });

describeVariants(() => {
  it.each(FORMS)('matMul(a, b, %o, %o) agrees with the float64 oracle for all kinds of sizes', async (transposeA, transposeB) => {
    for (const [m, n, k] of SIZES) {
      const a = randomArray(m * k, { seed: m + k });
      const b = randomArray(k * n, { seed: n + 7 });
      const c = tidy(() => matMul(tensor(a, transposeA ? [k, m] : [m, k]), tensor(b, transposeB ? [n, k] : [k, n]), transposeA, transposeB));
      await expectClose(c, tensor(Float32Array.from(matMul64(a, b, { m, k, n, transposeA, transposeB })), [m, n]), tolerance(k));
      c.dispose();
    }
  });

  it.each([
    [[2, 3, 5, 7], [2, 3, 7, 4]], [[6, 5, 7], [1, 7, 4]], [[1, 5, 7], [6, 7, 4]], [[2, 1, 5, 7], [1, 3, 7, 4]], [[3, 5, 7], [7, 4]],
    [[5, 7], [3, 7, 4]], [[2, 3, 65, 10], [3, 10, 65]], [[4, 1, 7], [4, 7, 1]],
  ])('matMul of shapes %o and %o broadcasts the batch axes', async (shapeA, shapeB) => {
    const [a, b] = [randomTensor(shapeA as [number]), randomTensor(shapeB as [number], { seed: 2 })];
    for (const [transposeA, transposeB] of FORMS) {
      const swap = (shape: number[], flip: boolean): number[] => (flip ? [...shape.slice(0, -2), shape.at(-1) as number, shape.at(-2) as number] : shape);
      const x = tensor(await a.data() as Float32Array, swap(shapeA, transposeA));
      const y = tensor(await b.data() as Float32Array, swap(shapeB, transposeB));
      const z = matMul(x, y, transposeA, transposeB);
      await expectClose(z, await batched64(x, y, z.shape, transposeA, transposeB), tolerance(10));
    }
  });

  it('matMul of a matrix whose packed copy exceeds 32 MiB agrees with the oracle', async () => {
    const [m, n, k] = [5, 1100, 8000];
    const a = randomArray(m * k);
    const b = randomArray(k * n, { seed: 2 });
    for (const transposeB of [false, true]) {
      const c = tidy(() => matMul(tensor(a, [m, k]), tensor(b, transposeB ? [n, k] : [k, n]), false, transposeB));
      await expectClose(c, tensor(Float32Array.from(matMul64(a, b, { m, n, k, transposeB })), [m, n]), tolerance(k));
      c.dispose();
    }
  });

  it('matMul of 70,000 pairs finishes all of them', async () => {
    const batch = 70_000;
    const a = tensor(Float32Array.from({ length: batch * 5 }, (_, i) => i % 1000), [batch, 5, 1]);
    const c = matMul(a, tensor([2, 3], [1, 1, 2]));
    const pairs = matMul(a, tensor(new Float32Array(batch).fill(2), [batch, 1, 1]));
    const values = await c.data();
    for (let i = 0; i < batch * 5; i++) {
      if (values[2 * i] !== 2 * (i % 1000) || values[2 * i + 1] !== 3 * (i % 1000)) throw new Error(`entry ${i} is ${values[2 * i]}`);
    }
    await expectClose(pairs, mul(a, tensor(2)));
  });

  it.each([undefined, 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu', 'prelu'] as const)('fused.matMul with activation %s equals its parts', async (activation) => {
    for (const shape of [undefined, [11], [1, 1, 11], [13, 11], [1]]) {
      const run = () => tidy(() => fused.matMul({
        a: randomTensor([2, 13, 21]),
        b: randomTensor([2, 21, 11], { seed: 2 }),
        bias: shape === undefined ? undefined : randomTensor(shape as [number], { seed: 3 }),
        preluActivationWeights: activation === 'prelu' ? randomTensor([11], { seed: 4 }) : undefined,
        activation,
        leakyreluAlpha: 0.2,
      }));
      await expectClose(run(), await onCpu(run), { rtol: 1e-5, atol: 1e-5 });
      await expectNoLeak(run);
    }
  });

  it('matMul adds one tensor and frees the rest, also when shapes do not fit', async () => {
    const a = randomTensor([6, 50]);
    await expectNoLeak(() => matMul(a, a, false, true));
    await expectNoLeak(() => engine().runKernel(BatchMatMul, { a, b: a }, { transposeA: false, transposeB: false }), { throws: /inner shapes/ });
  });
});

describe('matMul', () => {
  it('matMul needs no more error with plain SIMD than twice that of relaxed SIMD, nor the other way round', async () => {
    const [m, n, k] = [40, 41, 1000];
    const a = randomArray(m * k);
    const b = randomArray(k * n, { seed: 2 });
    const oracle = matMul64(a, b, { m, n, k });
    const errors: number[] = [];
    for (const simd of ['relaxed', 'plain'] as const) {
      const backend = await useWasm({ threads: 1, simd });
      const c = await matMul(tensor(a, [m, k]), tensor(b, [k, n])).data();
      errors.push(Math.max(...oracle.map((value, i) => Math.abs(value - (c[i] as number)))));
      await setBackend('cpu');
      backend.dispose();
    }
    const [relaxed, plain] = errors as [number, number];
    expect(relaxed).toBeLessThan(2 * plain);
    expect(plain).toBeLessThan(2 * relaxed + 1e-4);
  });
});

/** What `run` gives on tfjs' CPU backend. */
async function onCpu(run: () => Tensor): Promise<Tensor> {
  await setBackend('cpu');
  const y = run();
  const values = await y.data();
  await setBackend(BACKEND_NAME);
  return tensor(values as Float32Array, y.shape);
}

/** Broadcast batches by the oracle, one pair at a time. */
async function batched64(a: Tensor, b: Tensor, shape: number[], transposeA: boolean, transposeB: boolean): Promise<Tensor> {
  const [m, n] = shape.slice(-2) as [number, number];
  const k = a.shape.at(transposeA ? -2 : -1) as number;
  const batch = shape.slice(0, -2);
  const [x, y] = [await a.data(), await b.data()];
  const count = batch.reduce((product, size) => product * size, 1);
  const values = new Float32Array(count * m * n);
  for (let entry = 0; entry < count; entry++) {
    const pick = (t: Tensor): number => {
      let [rest, index, stride] = [entry, 0, 1];
      for (let axis = 1; axis <= batch.length; axis++) {
        const size = batch.at(-axis) as number;
        const own = t.shape.at(-2 - axis) ?? 1;
        if (t.shape.length >= axis + 2) index += own === 1 ? 0 : (rest % size) * stride;
        stride *= t.shape.length >= axis + 2 ? own : 1;
        rest = Math.floor(rest / size);
      }
      return index;
    };
    const [i, j] = [pick(a), pick(b)];
    values.set(matMul64(x.subarray(i * m * k, (i + 1) * m * k) as Float32Array, y.subarray(j * k * n, (j + 1) * k * n) as Float32Array, { m, n, k, transposeA, transposeB }), entry * m * n);
  }
  return tensor(values, shape);
}

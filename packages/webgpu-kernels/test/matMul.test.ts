import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak, forEachBackend, matMul64, randomArray, randomTensor } from '@evenkeel/testing';
import { backend, dispose, fused, getBackend, matMul, setBackend, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

async function onCpu(f: () => Tensor): Promise<Float32Array> {
  const previous = getBackend();
  await setBackend('cpu');
  const y = tidy(f);
  const values = (await y.data()).slice() as Float32Array;
  y.dispose();
  await setBackend(previous);
  return values;
}

const norm = (values: ArrayLike<number>): number => Math.hypot(...Array.from(values));

forEachBackend([GPU_BACKEND], () => {
  it.each([
    [[2, 1, 5, 7], [1, 3, 7, 4], [2, 3, 5, 4], [0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]], [[3, 5, 7], [7, 4], [3, 5, 4], [0, 1, 2], [0, 0, 0]],
    [[5, 7], [3, 7, 4], [3, 5, 4], [0, 0, 0], [0, 1, 2]], [[2, 1, 7], [2, 7, 1], [2, 1, 1], [0, 1], [0, 1]],
  ])('matMul of shapes %o and %o broadcasts the batch axes', async (shapeA, shapeB, shape, entriesA, entriesB) => {
    const [m, k, n] = [shapeA.at(-2)!, shapeA.at(-1)!, shapeB.at(-1)!];
    const [x, y] = [randomTensor(shapeA as [number]), randomTensor(shapeB as [number], { seed: 2 })];
    const [a, b] = [await x.data(), await y.data()];
    const z = matMul(x, y);
    expect(z.shape).toEqual(shape);
    const expected = entriesA.flatMap((entry, i) => (
      [...matMul64(a.subarray(entry * m * k, (entry + 1) * m * k), b.subarray(entriesB[i]! * k * n, (entriesB[i]! + 1) * k * n), { m, n, k })]));
    expect(norm(await z.data())).toBeGreaterThan(0.1 * norm(expected));
    await expectClose(z, Float64Array.from(expected), { rtol: 1e-5, atol: 1e-5 });
    dispose([x, y, z]);
  });

  it('matMul of 70,000 pairs, more than one axis of workgroups may have, finishes all of them', async () => {
    const batch = 70_000;
    const a = tensor(Float32Array.from({ length: batch * 5 }, (_, i) => i % 1000), [batch, 5, 1]);
    const b = tensor(Float32Array.from({ length: batch * 2 }, (_, i) => 2 + i % 2), [batch, 1, 2]);
    const c = matMul(a, b);
    const values = await c.data();
    expect(values.findIndex((value, i) => value !== (2 + i % 2) * (Math.floor(i / 2) % 1000))).toBe(-1);
    dispose([a, b, c]);
  });

  it.each([undefined, 'relu', 'relu6', 'elu', 'sigmoid', 'prelu'] as const)('fused.matMul with activation %s equals what the CPU gives, for biases of several shapes', async (activation) => {
    for (const shape of [undefined, [11], [1]]) {
      const run = () => tidy(() => fused.matMul({
        a: tensor(randomArray(13 * 21), [13, 21]), b: tensor(randomArray(21 * 11, { seed: 2 }), [21, 11]),
        bias: shape === undefined ? undefined : tensor(randomArray(shape[0]!, { seed: 3 }), shape as [number]),
        preluActivationWeights: activation === 'prelu' ? tensor(randomArray(11, { seed: 4 }), [11]) : undefined,
        activation,
      }));
      const y = run();
      expect(norm(await y.data())).toBeGreaterThan(1);
      await expectClose(y, await onCpu(run), { rtol: 1e-5, atol: 1e-5 });
      y.dispose();
    }
  });

  it('matMul of nothing adds up to 0, and with an empty side is empty', async () => {
    const [x, y] = [tensor([], [3, 0]), tensor([], [0, 65])];
    const z = matMul(x, y);
    expect([...await z.data()]).toEqual(new Array(3 * 65).fill(0));
    const empty = matMul(y, tensor(new Float32Array(65), [65, 1]));
    expect(empty.shape).toEqual([0, 1]);
    dispose([x, y, z, empty]);
  });

  it('matMul adds one tensor and frees the rest', async () => {
    const a = randomTensor([6, 50]);
    await expectNoLeak(() => matMul(a, a, false, true));
    expect(backend().numDataIds()).toBeGreaterThan(0);
    a.dispose();
  });
});

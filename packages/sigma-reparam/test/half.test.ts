import { GPU_BACKEND, useDevice } from '@evenkeel/core-tensor';
import { effectiveWeight, singularVectors, spectralNorm } from '@evenkeel/sigma-reparam';
import { expectClose, forEachBackend, linear64, randomTensor } from '@evenkeel/testing';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { dispose, matMul, setBackend, tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { effective64, numberOf, svd64, valuesOf } from './oracle64.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 60_000 }); // compiling for a CPU takes seconds per program

forEachBackend([GPU_BACKEND], () => {
  beforeAll(async () => void await useDevice('webgpu', [webgpu({ precision: 'f16' })]));
  afterAll(async () => {
    await setBackend('cpu');
    await useDevice('webgpu', [webgpu()]);
  });

  it('where products are rounded to f16, the power iteration, sigma and the effective weight are not', async () => {
    const weight = randomTensor([40, 65], { seed: 2, std: 1e-3 }) as Tensor;
    const values = await weight.data();
    const matrix = { values, rows: 40, columns: 65 };
    const { sigma } = svd64(matrix);
    expect(await numberOf(() => spectralNorm(weight, { iterations: 300 })) / sigma).toBeCloseTo(1, 5);
    const [vectors, gamma] = [singularVectors(weight, { iterations: 300 }), tensor1d([1.5])];
    const { u, v } = await valuesOf(vectors);
    const y = effectiveWeight({ weight, gamma }, vectors);
    await expectClose(y, effective64(matrix, 1.5, u, v), { rtol: 1e-5, atol: 1e-7 });
    const product = matMul(weight as never, weight as never, false, true); // so the precision is what it is said to be
    const exact = linear64(values, values, undefined, 65);
    const error = (await product.data<'float32'>()).reduce((worst, x, i) => Math.max(worst, Math.abs(x - exact[i]!)), 0);
    expect(error).toBeGreaterThan(1e-9);
    dispose([weight, vectors, gamma, y, product] as never);
  });
});

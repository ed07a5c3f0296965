import { UnsupportedError, useDevice, valueAndGrad } from '@evenkeel/core-tensor';
import {
  checkGrad, expectClose, expectNoLeak, forEachBackend, matMul64, randomArray, randomIntegers, randomTensor, softmax64,
} from '@evenkeel/testing';
import { webgpu } from '@evenkeel/webgpu-kernels';
import {
  add, backend, complex, dispose, fill, gather, matMul, mul, softmax, sum, tensor, tensor1d, tidy, type Tensor, type Tensor2D,
} from '@tensorflow/tfjs-core';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { describe, expect, it, vi } from 'vitest';

const gpuBackend = (): WebGPUBackend => backend() as unknown as WebGPUBackend;

const norm = (values: ArrayLike<number>): number => Math.hypot(...Array.from(values));

/** Runs a program whose text is no WGSL, as a kernel with a mistake would. */
function runBrokenShader(x: Tensor): void {
  gpuBackend().runWebGPUProgram({
    variableNames: ['A'], outputShape: [2, 2], workgroupSize: [64, 1, 1], dispatchLayout: { x: [0] }, dispatch: [1, 1, 1],
    shaderKey: 'brokenOnPurpose', getUserCode: () => 'fn main(index: i32) { nonsense }',
  }, [x], 'float32');
}

forEachBackend(['evenkeel-webgpu'], () => {
  it.each([[1, 1, 1, false, false], [3, 65, 1, true, false], [65, 130, 3, false, true], [130, 65, 130, false, false]] as const)(
    'matMul on webgpu agrees with float64 for %i×%i×%i, transposed: %s, %s', async (m, k, n, transposeA, transposeB) => {
      const a = randomArray(m * k, { seed: 1 });
      const b = randomArray(k * n, { seed: 2 });
      const x = tensor(a, transposeA ? [k, m] : [m, k]) as Tensor2D;
      const w = tensor(b, transposeB ? [n, k] : [k, n]) as Tensor2D;
      const y = matMul(x, w, transposeA, transposeB);
      const expected = matMul64(a, b, { m, k, n, transposeA, transposeB });
      expect(norm(await y.data())).toBeGreaterThan(0.1 * norm(expected));
      await expectClose(y, expected, { rtol: 1e-5, atol: 1e-5 * Math.sqrt(k) });
      dispose([x, w, y]);
    });

  it.each([1, 3, 65, 130])('softmax on webgpu agrees with float64 for rows of %i', async (columns) => {
    const values = randomArray(5 * columns, { seed: 3, std: 3 });
    const x = tensor(values, [5, columns]);
    const y = softmax(x);
    expect(norm(await y.data())).toBeGreaterThan(0);
    await expectClose(y, softmax64(values, columns), { atol: 1e-6 });
    dispose([x, y]);
  });

  it('valueAndGrad on webgpu agrees with finite differences in float64, through gather, matMul and softmax', async () => {
    const [vocabSize, dim, hidden, count] = [7, 5, 3, 9];
    const ids = randomIntegers(count, vocabSize, 4);
    const weights = randomArray(count * hidden, { seed: 5 });
    const inputs = { table: randomArray(vocabSize * dim, { seed: 6 }), weight: randomArray(dim * hidden, { seed: 7 }) };
    const params = { table: tensor(inputs.table, [vocabSize, dim]), weight: tensor(inputs.weight, [dim, hidden]) };
    const [idTensor, weightTensor] = [tensor1d(ids, 'int32'), tensor(weights, [count, hidden])];
    const { value, grads } = valueAndGrad(
      (p) => sum(mul(softmax(matMul(gather(p.table, idTensor) as Tensor2D, p.weight as Tensor2D)), weightTensor)), params);
    const loss64 = ({ table, weight }: Record<'table' | 'weight', Float64Array>): number => {
      const rows = Float64Array.from({ length: count * dim }, (_, i) => table[ids[Math.floor(i / dim)]! * dim + (i % dim)]!);
      const probabilities = softmax64(matMul64(rows, weight, { m: count, k: dim, n: hidden }), hidden);
      return probabilities.reduce((total, p, i) => total + p * weights[i]!, 0);
    };
    await expectClose(value, loss64({ table: Float64Array.from(inputs.table), weight: Float64Array.from(inputs.weight) }), { rtol: 1e-5 });
    expect(norm(await grads.table.data())).toBeGreaterThan(0.1);
    await checkGrad({ loss64, inputs, gradients: grads });
    dispose([params, value, grads, idTensor, weightTensor]);
  });

  it('a step on webgpu adds what it returns and nothing else, and 200 steps take no more memory than 20', async () => {
    const params = { weight: randomTensor([65, 65], { seed: 8 }) };
    const x = randomTensor([3, 65], { seed: 9 });
    const step = () => valueAndGrad((p) => sum(softmax(matMul(x as Tensor2D, p.weight as Tensor2D))), params);
    await expectNoLeak(step);
    const run = async (steps: number) => {
      for (let i = 0; i < steps; i++) {
        const { value, grads } = step();
        if (i % 10 === 9) await value.data();
        dispose([value, grads]);
      }
      return gpuBackend().memory().numBytesAllocatedInGPU;
    };
    const early = await run(20);
    expect(early).toBeGreaterThan(0);
    expect(await run(180)).toBeLessThanOrEqual(early);
    dispose([params, x]);
  });

  it('dataSync() of a tensor on the GPU says to await data(), also where there are canvases', async () => {
    const [x, z] = [randomTensor([2, 2]), complex([1, 2], [3, 4])];
    const y = matMul(x as Tensor2D, x as Tensor2D);
    const w = add(z, z);
    const refusal = new UnsupportedError('webgpu: values on the GPU must be read with `await tensor.data()`, got a synchronous reading');
    expect(() => y.dataSync()).toThrow(refusal);
    vi.stubGlobal('OffscreenCanvas', class {});
    expect(() => y.dataSync()).toThrow(refusal);
    expect(() => w.dataSync()).toThrow(refusal);
    vi.unstubAllGlobals();
    await y.data();
    expect(y.dataSync()).toHaveLength(4); // data() leaves a copy that can be read at once
    dispose([x, y, z, w]);
  });

  it('a tensor larger than the device can bind is refused with the numbers, and the device goes on working', async () => {
    const { maxStorageBufferBindingSize, maxBufferSize } = gpuBackend().device.limits;
    const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    const rows = Math.floor(limit / 4096) + 1;
    await expectNoLeak(() => tidy(() => fill([rows, 1024], 1)), {
      throws: `webgpu: a tensor must have at most ${limit} bytes on this device, got ${rows * 4096} for [${rows}, 1024] in Fill`,
    });
    const x = tidy(() => add(fill([2], 1), 1));
    await expectClose(x, [2, 2]);
    x.dispose();
  });
});

forEachBackend(['evenkeel-webgpu'], () => {
  describe('a shader that does not compile', () => {
    it('makes its operation throw with its name and the compiler\'s words, and condemns the device', async () => {
      const x = tensor([[1, 2], [3, 4]]) as Tensor2D;
      const y = matMul(x, x); // of the same batch of commands: it would read as zeros or stale values
      const failing = /webgpu: the device must be working, got a validation error in brokenOnPurpose: .*expected '=' for assignment/;
      expect(() => runBrokenShader(x)).toThrow(failing);
      expect(() => matMul(x, x)).toThrow(failing);
      expect(() => y.dataSync()).toThrow(failing);
      await expect(y.data()).rejects.toThrow(failing);
      await expect(y.data()).rejects.toThrow(UnsupportedError);
      dispose([x, y]);
    });

    it('is forgotten by useDevice, which starts a fresh device', async () => {
      const before = gpuBackend().device;
      const device = await useDevice('webgpu', [webgpu()]);
      expect(device.name).toBe('webgpu');
      expect(gpuBackend().device).not.toBe(before);
      const x = tensor([[1, 2], [3, 4]]) as Tensor2D;
      const y = matMul(x, x);
      await expectClose(y, [[7, 10], [15, 22]]);
      dispose([x, y]);
    });
  });

  describe('a lost device', () => {
    it('makes pending readings and later operations throw that it was lost', async () => {
      const x = tensor([[1, 2], [3, 4]]) as Tensor2D;
      const y = matMul(x, x);
      const lost = /webgpu: the device must be working, got the device was lost \(destroyed\)/;
      gpuBackend().device.destroy();
      await expect(y.data()).rejects.toThrow(lost);
      expect(() => matMul(x, x)).toThrow(lost);
      dispose([x, y]);
      await useDevice('webgpu', [webgpu()]);
    });

    it('never hands out zeros for an operation that ran after the loss', async () => {
      const x = tensor([[1, 2], [3, 4]]) as Tensor2D;
      await x.data();
      gpuBackend().device.destroy();
      await expect(async () => matMul(x, x).data()).rejects.toThrow(UnsupportedError);
      await useDevice('webgpu', [webgpu()]);
    });
  });
});

import { GPU_BACKEND, useDevice } from '@evenkeel/core-tensor';
import { expectClose, forEachBackend, matMul64, randomArray } from '@evenkeel/testing';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { backend, dispose, matMul, setBackend, tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EvenkeelWebgpuBackend } from '../src/backend.ts';
import { VARIANT_NAMES } from '../src/gemm/variants.ts';

/** The number that f16 has for x: 11 bits. */
const rounded = (values: Float32Array): Float32Array => values.map((x) => Math.f16round(x));

forEachBackend([GPU_BACKEND], () => {
  describe('webgpu({ precision: "f16" })', () => {
    beforeAll(async () => void await useDevice('webgpu', [webgpu({ precision: 'f16' })]));
    afterAll(async () => {
      await setBackend('cpu');
      await useDevice('webgpu', [webgpu()]);
    });

    it.each(VARIANT_NAMES)('rounds the factors of a product and sums in f32, with the kernel %s', async (name) => {
      await useDevice('webgpu', [webgpu({ precision: 'f16', tuning: { matMul: name } })]);
      expect((backend() as unknown as EvenkeelWebgpuBackend).precision).toBe('f16');
      for (const [m, k, n] of [[1, 1, 1], [3, 65, 7], [68, 600, 72], [4, 128, 33], [130, 130, 130]] as const) {
        for (const [transposeA, transposeB] of [[false, false], [false, true], [true, false]] as const) {
          const [a, b] = [randomArray(m * k, { seed: 1 }), randomArray(k * n, { seed: 2 })];
          const x = tensor(a, transposeA ? [k, m] : [m, k]) as Tensor2D;
          const w = tensor(b, transposeB ? [n, k] : [k, n]) as Tensor2D;
          const y = matMul(x, w, transposeA, transposeB);
          const expected = matMul64(rounded(a), rounded(b), { m, k, n, transposeA, transposeB });
          await expectClose(y, expected, { rtol: 1e-5, atol: 1e-5 * Math.sqrt(k) });
          const exact = matMul64(a, b, { m, k, n, transposeA, transposeB });
          if (m * k > 1) expect(Math.max(...(await y.data()).map((value, i) => Math.abs(value - exact[i]!)))).toBeGreaterThan(1e-5);
          dispose([x, w, y]);
        }
      }
    }, 120_000);
  });
});

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { fused, matMul, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { UnsupportedError } from '@evenkeel/core-tensor';
import { createRuntime, wasmFeatures } from '@evenkeel/wasm-kernels';
import { randomArray } from '@evenkeel/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useWasm } from './variants.ts';

const SIZES = [[6, 16, 1], [7, 17, 300], [97, 530, 31], [96, 16, 257], [65, 33, 64], [13, 8, 40]] as const;

/** Products in sizes that leave something over at each edge, with all that a product may end with. */
function results(): Tensor[] {
  return tidy(() => SIZES.flatMap(([m, n, k]) => {
    const [a, b, bias] = [tensor(randomArray(m * k), [m, k]), tensor(randomArray(k * n, { seed: 2 }), [k, n]), tensor(randomArray(n, { seed: 3 }))] as const;
    return [matMul(a, b), matMul(b, a, true, true), fused.matMul({ a, b, bias, activation: 'relu' })];
  }));
}

async function bitsOf(simd: 'relaxed' | 'wide', threads: number): Promise<Uint32Array[]> {
  const backend = await useWasm({ simd, threads });
  try {
    return await Promise.all(results().map(async (each) => new Uint32Array((await each.data() as Float32Array).slice().buffer)));
  } finally {
    backend.dispose();
  }
}

describe.runIf(wasmFeatures().wideSimd || process.env['CI'] === 'true')('wide SIMD', () => {
  it('gives the bits of relaxed SIMD on one thread and on two', async () => {
    const wanted = await bitsOf('relaxed', 1);
    expect(wanted[0]?.some((word) => word !== 0)).toBe(true);
    expect(await bitsOf('wide', 1)).toEqual(wanted);
    expect(await bitsOf('wide', 2)).toEqual(wanted);
  });

  it('joins the vectors of the register tile', () => {
    const script = `import { setFlagsFromString } from 'node:v8';
      ['--no-liftoff', '--no-wasm-lazy-compilation', '--trace-wasm-revectorize'].forEach(setFlagsFromString);
      const { createRuntime } = await import(${JSON.stringify(fileURLToPath(new URL('../src/index.ts', import.meta.url)))});
      const awake = setInterval(() => {}, 1000);
      await createRuntime({ simd: 'wide', threads: 1 });
      clearInterval(awake);`;
    const output = execFileSync(process.execPath, ['--conditions=@evenkeel/source', '--input-type=module', '-e', script], { encoding: 'utf8', maxBuffer: 1 << 28, cwd: fileURLToPath(new URL('.', import.meta.url)) });
    const saved = [...output.matchAll(/Save: (\d+), cost: \d+/g)].map(([, count]) => Number(count));
    expect(Math.max(...saved)).toBeGreaterThan(100); // 24 accumulators, over and over: the tile of 6 × 16
  });
});

it('wide SIMD is refused with a reason where it cannot be', async () => {
  const arch = Object.getOwnPropertyDescriptor(process, 'arch') as PropertyDescriptor;
  onTestFinished(() => void Object.defineProperty(process, 'arch', arch));
  Object.defineProperty(process, 'arch', { ...arch, value: 'arm64' });
  await expect(createRuntime({ simd: 'wide' })).rejects.toThrow(UnsupportedError);
  await expect(createRuntime({ simd: 'wide' })).rejects.toThrow("wasm: simd 'wide' must have Node on x64 with AVX2, got another engine or processor. Use 'auto'.");
});

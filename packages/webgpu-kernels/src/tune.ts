import { checkInteger, checkNames, checkOneOf, ConfigError, describeValue, GPU_BACKEND, UnsupportedError, type TunedClass, type TuneOptions } from '@evenkeel/core-tensor';
import { backend, getBackend } from '@tensorflow/tfjs-core';
import type { EvenkeelWebgpuBackend } from './backend.ts';
import { ACTIVATIONS, type GemmActivation } from './gemm/activations.ts';
import { seeProduct } from './gemm/gemm.ts';

/** Product — a matrix product to be tuned: `batch` (default 1) times m × k by k × n, and what it ends with (default nothing). */
export type Product = {
  m: number;
  n: number;
  k: number;
  batch?: number;
  transposeA?: boolean;
  transposeB?: boolean;
  bias?: boolean;
  activation?: GemmActivation;
  residual?: boolean;
};

/**
 * tune — times the kernels that can compute each matrix product seen so far on the active WebGPU device, and takes the fastest
 * from then on, here and in later processes on the same adapter. A class is timed once; others that several kernels can compute
 * (attention, …) are tuned with them.
 *
 * Kernels sum in different orders: after this call results may differ in their last bits from those before it, never otherwise. So run
 * one step, tune, and then train or capture steps.
 *
 * @param products  products to be tuned besides those seen (default none), such as those of a model yet to be run.
 * @param options   `onTuned`, called with each class once it is timed and the number of classes left: all may take minutes.
 * @returns         what was found, per class that was timed; empty if all were known.
 * @throws UnsupportedError  if the active backend is not `evenkeel-webgpu`.
 * @throws ConfigError       unless the device's `tuning` is `auto`, or if a size is not a positive integer or a field is none of a Product.
 */
export async function tune(products: readonly Product[] = [], options: TuneOptions = {}): Promise<readonly TunedClass[]> {
  if (getBackend() !== GPU_BACKEND) throw new UnsupportedError(`tune: the active backend must be ${GPU_BACKEND}, got ${getBackend()}`);
  checkNames('tune', options, ['onTuned', 'signal'] satisfies (keyof TuneOptions)[]);
  checkProducts(products);
  const gpu = backend() as unknown as EvenkeelWebgpuBackend;
  for (const { m, n, k, batch = 1, transposeA = false, transposeB = false, bias = false, activation = 'linear', residual = false } of products) {
    const keepsInput = activation !== 'linear' && activation !== 'relu' && activation !== 'relu6'; // for the gradient: see `evenkeel/linear`
    seeProduct(gpu, { m, n, k, batch }, {
      transposeA, transposeB, vecA: (transposeA ? m : k) % 4 === 0, vecB: (transposeB ? k : n) % 4 === 0, vecC: n % 4 === 0, batched: batch > 1,
      ...(gpu.precision === 'f16' && { half: true }),
      epilogue: { activation, bias, before: keepsInput, residual },
    });
  }
  return gpu.tuner.tune(options);
}

const FIELDS = ['m', 'n', 'k', 'batch', 'transposeA', 'transposeB', 'bias', 'activation', 'residual'] as const satisfies readonly (keyof Product)[];

/** All of them, before any is taken. */
function checkProducts(products: readonly Product[]): void {
  if (!Array.isArray(products)) throw new ConfigError(`tune: products must be an array such as [{ m: 64, n: 64, k: 64 }], got ${describeValue(products)}`);
  (products as readonly Product[]).forEach((product, i) => {
    checkNames('tune', product, FIELDS, `products[${i}]`);
    const { m, n, k, batch = 1, activation = 'linear' } = product;
    for (const [name, size] of Object.entries({ m, n, k, batch })) checkInteger('tune', name, size);
    checkOneOf('tune', 'activation', activation, ACTIVATIONS);
  });
}

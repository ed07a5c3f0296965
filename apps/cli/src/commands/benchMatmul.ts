import { dispose, matMul, slice, tensor2d, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { uniformValues, UnsupportedError } from '@evenkeel/core-tensor';
import { announceDevice, openDevice, type DeviceName } from '../devices.ts';
import type { Io } from '../output.ts';
import { round, spreadOf } from '../statistics.ts';

export type BenchMatmulOptions = { readonly device: DeviceName; readonly sizes: readonly number[]; readonly threads?: number };

export type MatmulSpeed = { readonly size: number; readonly gflops: number; readonly ms: number };

export type BenchMatmulResult = { readonly command: 'bench matmul'; readonly device: string; readonly threads?: number; readonly sizes: readonly MatmulSpeed[] };

const WARM_UP = 5;
const SAMPLES = 30;
/** Large products are timed for at least this long, but never fewer than `FEWEST` times. */
const BUDGET_MS = 3000;
const FEWEST = 5;

/** benchMatmul — GFLOP/s of `n × n` by `n × n` in float32: 2·n³ operations over the median time, the result awaited every time. */
export async function benchMatmul({ device: name, sizes, threads }: BenchMatmulOptions, io: Io): Promise<BenchMatmulResult> {
  const device = await openDevice(name, { threads });
  announceDevice(device, name, io.line);
  const speeds: MatmulSpeed[] = [];
  for (const size of sizes) {
    const speed = await timeSize(size);
    io.line(`${String(size).padStart(6)} × ${String(size).padEnd(6)} ${speed.gflops.toFixed(1).padStart(8)} GFLOP/s ${speed.ms.toFixed(2).padStart(10)} ms`);
    speeds.push(speed);
  }
  return { command: 'bench matmul', device: device.name, ...(threads === undefined ? {} : { threads }), sizes: speeds };
}

async function timeSize(size: number): Promise<MatmulSpeed> {
  const values = [1, 2].map((seed) => uniformValues(size * size, seed, -1, 1)) as [Float32Array, Float32Array];
  const [a, b] = values.map((each) => tensor2d(each, [size, size])) as [Tensor2D, Tensor2D];
  try {
    await checkProduct(a, b, values);
    const times: number[] = [];
    const deadline = performance.now() + BUDGET_MS;
    for (let i = 0; i < WARM_UP + SAMPLES && (i < WARM_UP + FEWEST || performance.now() < deadline); i++) {
      const start = performance.now();
      const product = matMul(a, b);
      await finished(product);
      if (i >= WARM_UP) times.push(performance.now() - start);
      product.dispose();
    }
    const ms = spreadOf(times).median;
    return { size, gflops: round((2 * size ** 3) / ms / 1e6, 2), ms };
  } finally {
    dispose([a, b]);
  }
}

/** Waits until a product is computed, by reading one number of it: reading all would be timed too. */
async function finished(product: Tensor): Promise<void> {
  const corner = slice(product as Tensor2D, [0, 0], [1, 1]);
  await corner.data();
  corner.dispose();
}

/** A fast wrong product is worth nothing: the diagonal must agree with float64 sums. */
async function checkProduct(a: Tensor2D, b: Tensor2D, [left, right]: readonly [Float32Array, Float32Array]): Promise<void> {
  const size = a.shape[0];
  const product = matMul(a, b);
  const found = await product.data();
  product.dispose();
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let k = 0; k < size; k++) sum += (left[i * size + k] as number) * (right[k * size + i] as number);
    const error = Math.abs((found[i * size + i] as number) - sum);
    if (!(error <= 1e-6 * size)) {
      throw new UnsupportedError(`bench matmul: the product of size ${size} must be right on this device, got an error of ${error} at [${i}, ${i}]`);
    }
  }
}

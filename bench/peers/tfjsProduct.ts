/** A matrix product in tfjs, on whatever backend is active: the same program for tfjs' own and for Evenkeel. */
import { matMul, tensor2d } from '@tensorflow/tfjs-core';
import type { Run } from './serve.ts';
import { checkProduct, uniform } from './workloads.ts';

export async function product(size: number): Promise<Run> {
  const [x, y] = [uniform(size * size, 1, 0, 1), uniform(size * size, 2, 0, 1)];
  const [a, b] = [tensor2d(x, [size, size]), tensor2d(y, [size, size])];
  const c = matMul(a, b);
  checkProduct(x, y, await c.data(), size);
  c.dispose();
  return async () => { matMul(a, b).dispose(); }; // a kernel has finished when the call returns
}

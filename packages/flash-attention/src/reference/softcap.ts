import { abs, add, clipByValue, less, mul, square, tanh, where, type Tensor } from '@tensorflow/tfjs-core';

/** Below it the series is exact to float32, and above it tanh is large against an error of 1e-7. */
const SMALL = 0.15;

/**
 * softcap — c · tanh(x / c), by the series of tanh where x is small against c.
 *
 * GPUs know tanh to an absolute error of 1e-7 or worse, which c multiplies: scores near 0 would get it in full.
 */
export function softcap(x: Tensor, c: number): Tensor {
  const y = mul(x, 1 / c);
  const small = clipByValue(y, -SMALL, SMALL); // the branch that is not taken must stay finite, also in its gradient
  const y2 = square(small);
  const factor = [2 / 15, -1 / 3, 1].reduce<Tensor | number>((sum, each) => add(mul(y2, sum), each), -17 / 315);
  return mul(where(less(abs(y), SMALL), mul(small, factor), tanh(y)), c);
}

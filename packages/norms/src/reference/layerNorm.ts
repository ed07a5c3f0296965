import { add, mean, mul, rsqrt, square, sub, type Tensor } from '@tensorflow/tfjs-core';

/** referenceLayerNorm — layer normalisation in tfjs ops: the truth that kernels are held to, differentiable to every order. */
export function referenceLayerNorm(
  { x, weight, bias }: { x: Tensor; weight?: Tensor; bias?: Tensor }, { eps }: { eps: number },
): Tensor {
  const centred = sub(x, mean(x, -1, true)); // ... c
  const variance = mean(square(centred), -1, true); // ... 1
  const normalised = mul(centred, rsqrt(add(variance, eps))); // ... c
  const scaled = weight === undefined ? normalised : mul(normalised, weight);
  return bias === undefined ? scaled : add(scaled, bias);
}

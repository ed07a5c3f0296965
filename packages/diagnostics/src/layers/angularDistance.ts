import { checkDtype, checkInteger, ConfigError, ShapeError, describeShape } from '@evenkeel/core-tensor';
import { add, atan2, div, maximum, mean, mul, norm, stack, sub, tidy, type Tensor, type Tensor1D } from '@tensorflow/tfjs-core';

/** Below it a vector has no direction; its distance from any other comes out as ½. */
const TINY = 1e-30;

/**
 * angularDistance — how far the residual stream turns over n blocks: small where the blocks do next to nothing.
 *
 *     d = arccos(⟨x_l, x_{l+n}⟩ / (‖x_l‖ ‖x_{l+n}‖))/π,  mean over tokens; 0 parallel, ½ orthogonal, 1 opposite
 *
 * Computed as 2 atan2(‖u − v‖, ‖u + v‖)/π of the unit vectors: an arccos of float32 numbers cannot tell angles below 0.0005 from 0.
 *
 * @param hidden  the stream before each block and after the last, `… c` each, as `collectHidden` gives them.
 * @param n       blocks from one to the other. Default 1.
 * @returns       `hidden.length − n` distances, from l = 0 on; the caller's.
 * @throws ConfigError  if `n` is no positive integer or leaves no pair.
 * @throws ShapeError   if a tensor is not float32 or the shapes differ.
 *
 * Source: Gromov et al. 2024, arXiv:2403.17887; as a measure of depth in Sun et al. 2025, arXiv:2502.05795.
 */
export function angularDistance(hidden: readonly Tensor[], n = 1): Tensor1D {
  checkInteger('angularDistance', 'n', n);
  if (hidden.length <= n) throw new ConfigError(`angularDistance: hidden must be more than ${n} tensors, got ${hidden.length}`);
  checkHidden('angularDistance', hidden);
  return tidy('angularDistance', () => {
    const units = hidden.map((x) => div(x, maximum(norm(x, 'euclidean', -1, true), TINY))); // … c
    return stack(units.slice(n).map((v, l) => {
      const u = units[l] as Tensor;
      const angle = atan2(norm(sub(u, v), 'euclidean', -1), norm(add(u, v), 'euclidean', -1)); // half of it, …
      return mul(mean(angle), 2 / Math.PI);
    })) as Tensor1D;
  });
}

/** checkHidden — throws ShapeError unless all tensors are float32 and have the shape of the first. */
export function checkHidden(fn: string, hidden: readonly Tensor[]): void {
  hidden.forEach((x, i) => checkDtype(fn, `hidden[${i}]`, x, 'float32'));
  const [first, ...rest] = hidden;
  for (const [i, { shape }] of rest.entries()) {
    if (String(shape) !== String(first?.shape)) throw new ShapeError(`${fn}: hidden[${i + 1}] must have shape ${describeShape(first?.shape ?? [])}, got ${describeShape(shape)}`);
  }
}

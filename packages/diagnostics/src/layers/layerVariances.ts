import { ConfigError } from '@evenkeel/core-tensor';
import { mean, moments, stack, tidy, type Tensor, type Tensor1D } from '@tensorflow/tfjs-core';
import { checkHidden } from './angularDistance.ts';

/**
 * layerVariances — the variance of the residual stream over its channels, mean over tokens, layer by layer: with pre-norm it grows with depth, and
 * deep blocks fade.
 *
 * @param hidden  the stream before each block and after the last, `… c` each, as `collectHidden` gives them.
 * @returns       one variance per tensor; the caller's.
 * @throws ConfigError  if there is none.
 * @throws ShapeError   if a tensor is not float32 or the shapes differ.
 *
 * Source: Sun et al. 2025, arXiv:2502.05795, §3.
 */
export function layerVariances(hidden: readonly Tensor[]): Tensor1D {
  if (hidden.length === 0) throw new ConfigError('layerVariances: hidden must be at least one tensor, got none');
  checkHidden('layerVariances', hidden);
  return tidy('layerVariances', () => stack(hidden.map((x) => mean(moments(x, -1).variance))) as Tensor1D);
}

import { checkDtype, checkMinRank, checkShape } from '@evenkeel/core-tensor';
import { add, mul, reshape, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { checkNorm } from './checkNorm.ts';
import { layerNorm } from './layerNorm.ts';

/** Modulation — `shift` and `scale`, `b c` each for all positions of a sequence, or of the shape of what they modulate. */
export type Modulation = { shift: Tensor; scale: Tensor };
export type AdaLayerNormOptions = {
  /** Added to the variance, so in the unit of x²; default 1e-6. */
  eps?: number;
};

/**
 * adaLayerNorm — layer norm whose gain and offset come from a condition, such as a time and a class, in place of parameters.
 *
 *     y = (1 + scale) · (x − mean(x)) / √(var(x) + eps) + shift
 *
 * @param x           `b ... c` — activations, float32, rank ≥ 2; rows are the last axis.
 * @param modulation  `shift` and `scale`, `b c` or `b ... c` — 0 for both is plain layer norm.
 * @param options     `eps` (default 1e-6, as in DiT) is added to the variance, so it has the unit of x².
 * @returns           `b ... c` — a new tensor owned by the caller.
 * @throws ShapeError   if a tensor is not float32, or `shift` or `scale` of another shape.
 * @throws ConfigError  if `eps` is not positive.
 *
 * Source: Peebles & Xie 2022, arXiv:2212.09748, §3.2; Perez et al. 2017, arXiv:1709.07871.
 */
export function adaLayerNorm<T extends Tensor>(x: T, { shift, scale }: Modulation, { eps = 1e-6 }: AdaLayerNormOptions = {}): T {
  checkNorm('adaLayerNorm', x, {}, eps);
  checkMinRank('adaLayerNorm', 'x', x, 2);
  checkModulation('adaLayerNorm', 'shift', shift, x);
  checkModulation('adaLayerNorm', 'scale', scale, x);
  return tidy('adaLayerNorm', () => add(mul(layerNorm(x, {}, { eps }), add(spread(scale, x), 1)), spread(shift, x))) as T;
}

/** spread — `b c` as `b 1 … 1 c`, one for each axis of x. */
export function spread(modulation: Tensor, x: Tensor): Tensor {
  if (modulation.rank === x.rank) return modulation;
  const [B, C] = modulation.shape as [number, number];
  return reshape(modulation, [B, ...x.shape.slice(1, -1).fill(1), C]);
}

function checkModulation(fn: string, name: string, modulation: Tensor, x: Tensor): void {
  checkDtype(fn, name, modulation, 'float32');
  checkShape(fn, name, modulation, modulation.rank === x.rank ? x.shape : [x.shape[0] as number, x.shape.at(-1) as number]);
}

import { checkDtype, checkInteger, checkPositive, checkShape, param } from '@evenkeel/core-tensor';
import { add, fill, mul, ones, tanh, tidy, zeros, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkRows } from './checkNorm.ts';

/** DynamicTanhParams — `alpha: 1`, how steep it is for all channels; `weight: c` (gain) and `bias: c` (offset), which may be absent. */
export type DynamicTanhParams = { alpha: Tensor; weight?: Tensor; bias?: Tensor };
export type DynamicTanhOptions = {
  /** First value of `alpha`, so in the unit of 1/x; default 0.5. */
  alpha?: number;
  /** Whether there is an offset; default true. */
  bias?: boolean;
};

/**
 * dynamicTanh — squashes each element, in place of a norm: it looks at no other element, and cannot grow beyond its gain.
 *
 *     y = weight · tanh(alpha · x) + bias
 *
 * @param x       `... c` — activations, float32, rank ≥ 1.
 * @param params  `alpha: 1`, trained; `weight: c` (default 1) and `bias: c` (default 0).
 * @returns       `... c` — a new tensor owned by the caller.
 * @throws ShapeError  if a tensor is not float32, `alpha` not one number, or the last axis of `x` not as long as `weight` and `bias`.
 *
 * Source: Zhu et al. 2025, arXiv:2503.10622, §4.
 */
export function dynamicTanh<T extends Tensor>(x: T, { alpha, weight, bias }: DynamicTanhParams): T {
  checkRows('dynamicTanh', x, { weight, bias });
  checkDtype('dynamicTanh', 'alpha', alpha, 'float32');
  checkShape('dynamicTanh', 'alpha', alpha, [1]);
  return tidy('dynamicTanh', () => {
    const squashed = tanh(mul(x, alpha)); // ... c
    const scaled = weight === undefined ? squashed : mul(squashed, weight);
    return bias === undefined ? scaled : add(scaled, bias);
  }) as T;
}

/** initDynamicTanh — `alpha` 0.5 or as given, `weight` all 1, `bias` all 0 (absent with `bias: false`), as variables; free them with `tf.dispose`. */
export function initDynamicTanh(dim: number, { alpha = 0.5, bias = true }: DynamicTanhOptions = {}): { alpha: Variable; weight: Variable; bias?: Variable } {
  checkInteger('initDynamicTanh', 'dim', dim);
  checkPositive('initDynamicTanh', 'alpha', alpha);
  const made = { alpha: param(() => fill([1], alpha)), weight: param(() => ones([dim])) };
  return bias ? { ...made, bias: param(() => zeros([dim])) } : made;
}

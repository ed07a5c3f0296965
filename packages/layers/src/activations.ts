import { runKernel } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';
import { gelu } from './gelu.ts';
import { silu } from './silu.ts';

/** ACTIVATIONS — by the names under which layers take them. */
export const ACTIVATIONS = {
  gelu: (x: Tensor) => gelu(x),
  geluTanh: (x: Tensor) => gelu(x, { approximate: 'tanh' }),
  silu: (x: Tensor) => silu(x),
} as const;

export type Activation = keyof typeof ACTIVATIONS;

/** activationGrad — dy · activation′(x), by the active backend's kernel. */
export function activationGrad(activation: Activation, x: Tensor, dy: Tensor): Tensor {
  if (activation === 'silu') return runKernel('evenkeel/siluGrad', { x, dy });
  return runKernel('evenkeel/geluGrad', { x, dy }, { approximate: activation === 'gelu' ? 'none' : 'tanh' });
}

import { checkDtype, fusedOp, runKernel } from '@evenkeel/core-tensor';
import { mul, sigmoid, tidy, type Tensor } from '@tensorflow/tfjs-core';

const fusedSilu = fusedOp<{ x: Tensor }, object>({
  name: 'evenkeel/silu',
  reference: ({ x }) => mul(x, sigmoid(x)),
  gradient: {
    kernels: ['evenkeel/siluGrad'],
    run: ({ dy, inputs: { x } }) => ({ x: () => runKernel('evenkeel/siluGrad', { x, dy }) }),
  },
  differentiable: 'once',
});

/**
 * silu — the sigmoid linear unit (swish), element by element.
 *
 *     y = x / (1 + e^(−x))
 *
 * @param x  `...` — float32.
 * @returns  `...` — a new tensor owned by the caller.
 *
 * Source: Elfwing, Uchibe & Doya 2017, arXiv:1702.03118, §2.
 */
export function silu<T extends Tensor>(x: T): T {
  checkDtype('silu', 'x', x, 'float32');
  return tidy('silu', () => fusedSilu({ x }, {})) as T;
}

import { checkDtype, checkOneOf, fusedOp, runKernel } from '@evenkeel/core-tensor';
import { add, erf, mul, pow, tanh, tidy, type Tensor } from '@tensorflow/tfjs-core';

export type GeluOptions = {
  /** `none`: the exact form with erf (default). `tanh`: the approximation of GPT-2. */
  approximate?: 'none' | 'tanh';
};

/** referenceGelu — GELU in tfjs ops: the truth that kernels are held to, differentiable to every order. */
export function referenceGelu({ x }: { x: Tensor }, { approximate }: Required<GeluOptions>): Tensor {
  const inner = approximate === 'none'
    ? erf(mul(x, Math.SQRT1_2))
    : tanh(mul(add(x, mul(pow(x, 3), 0.044715)), Math.sqrt(2 / Math.PI)));
  return mul(mul(x, 0.5), add(inner, 1));
}

const fusedGelu = fusedOp<{ x: Tensor }, Required<GeluOptions>>({
  name: 'evenkeel/gelu',
  reference: referenceGelu,
  gradient: {
    kernels: ['evenkeel/geluGrad'],
    run: ({ dy, inputs: { x }, attrs }) => ({ x: () => runKernel('evenkeel/geluGrad', { x, dy }, attrs) }),
  },
  differentiable: 'once',
});

/**
 * gelu — the Gaussian error linear unit, element by element.
 *
 *     none:  y = x · Φ(x) = x/2 · (1 + erf(x/√2))        tanh:  y = x/2 · (1 + tanh(√(2/π)·(x + 0.044715 x³)))
 *
 * @param x        `...` — float32.
 * @param options  `approximate` (default `none`).
 * @returns        `...` — a new tensor owned by the caller.
 *
 * Source: Hendrycks & Gimpel 2016, arXiv:1606.08415, §2.
 */
export function gelu<T extends Tensor>(x: T, { approximate = 'none' }: GeluOptions = {}): T {
  checkDtype('gelu', 'x', x, 'float32');
  checkOneOf('gelu', 'approximate', approximate, ['none', 'tanh']);
  return tidy('gelu', () => fusedGelu({ x }, { approximate })) as T;
}

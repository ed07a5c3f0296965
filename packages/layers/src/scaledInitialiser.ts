import type { Initialiser, ParamSpec } from '@evenkeel/core-tensor';
import { concat, mul, split, tidy, type Tensor } from '@tensorflow/tfjs-core';

/**
 * scaledInitialiser — DeepNorm's start of a block: the first values of the MLP, of the output projection and of the value rows of `qkv` times
 * `factor`; biases, gains of norms and scalars start as they are.
 *
 * Source: Wang et al. 2022, arXiv:2203.00555, figure 2.
 */
export function scaledInitialiser(initialiserOf: (spec: ParamSpec, path: string) => Initialiser, factor: number): typeof initialiserOf {
  return (spec, path) => {
    const initialiser = initialiserOf(spec, path);
    if (spec.role !== 'hidden') return initialiser;
    if (/^(mlp|attn\.proj)\./.test(path)) return (...given) => tidy(() => mul(initialiser(...given), factor));
    const { parts } = spec;
    return path.startsWith('attn.qkv.') && parts !== undefined ? (...given) => tidy(() => scaleLast(initialiser(...given), parts, factor)) : initialiser;
  };
}

/** The last of the parts that the first axis consists of, times `factor`. */
function scaleLast(values: Tensor, parts: readonly number[], factor: number): Tensor {
  const pieces = split(values, [...parts], 0);
  return concat([...pieces.slice(0, -1), mul(pieces.at(-1) as Tensor, factor)], 0);
}

import { checkFunction, checkInteger, checkPositive, zeros, type ApplyOptions, type Layer, type LayerPlace, type LinearFactory, type Tree } from '@evenkeel/core-tensor';
import { add, mul, sigmoid, split, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { adaLayerNorm, spread, type AdaLayerNormOptions, type Modulation } from './adaLayerNorm.ts';

export type AdaLayerNormLayerOptions = AdaLayerNormOptions & {
  /** How the condition becomes a modulation, such as `linearLayer()`. */
  linear: LinearFactory;
  /** Width of the condition; default that of the norm. */
  conditionDim?: number;
  /** Whether the condition also says how much of the sub-layer is added to the residual stream; default true. */
  gate?: boolean;
};

/** AdaLayerNormLayer — a layer of `[x: b ... c, condition: b e]`, and the residual connection around a sub-layer that it opens. */
export type AdaLayerNormLayer = Layer<readonly Tensor[]> & {
  /** What the condition says, `b c` each; no `gate` with `gate: false`. */
  modulate(condition: Tensor, params: Tree<Tensor>, options?: ApplyOptions): Modulation & { gate?: Tensor };
  /** x + gate · f(adaLayerNorm(x)): x itself as long as the parameters have their first values. */
  around(inputs: readonly Tensor[], params: Tree<Tensor>, f: (z: Tensor) => Tensor, options?: ApplyOptions): Tensor;
};

/**
 * adaLayerNormLayer — adaptive layer norm as a value for models of images and their like (adaLN-Zero).
 *
 *     shift, scale, gate = linear(silu(condition))        y = x + gate · f(adaLayerNorm(x, { shift, scale }))
 *
 * @param options  `linear`; `conditionDim` (default the norm's dim); `gate` (default true); `eps` (default 1e-6).
 * @returns        makes a layer over `dim` channels. Its params are those of a linear map from e to 3 · c, the channels of shift, scale
 *                 and gate in that order, and start at 0.
 * @throws ConfigError  if a number is out of range.
 *
 * Source: Peebles & Xie 2022, arXiv:2212.09748, §3.2. Departs from its code in one map per sub-layer, in place of one for both.
 */
export function adaLayerNormLayer({ linear, conditionDim, gate = true, eps = 1e-6 }: AdaLayerNormLayerOptions): (dim: number, place?: LayerPlace) => AdaLayerNormLayer {
  checkFunction('adaLayerNormLayer', 'linear', linear, 'linearLayer()');
  checkPositive('adaLayerNormLayer', 'eps', eps);
  if (conditionDim !== undefined) checkInteger('adaLayerNormLayer', 'conditionDim', conditionDim);
  return (dim, { block } = {}) => {
    checkInteger('adaLayerNormLayer', 'dim', dim);
    const parts = gate ? [dim, dim, dim] : [dim, dim];
    const modulation = linear(conditionDim ?? dim, parts.length * dim, { ...(block !== undefined && { block }), outAxis: 'modulation', inAxis: 'condition', parts });
    const modulate: AdaLayerNormLayer['modulate'] = (condition, params, options) => tidy('modulate', () => {
      const [shift, scale, gated] = split(modulation.apply(mul(condition, sigmoid(condition)), params, options), parts, -1) as [Tensor, Tensor, Tensor?];
      return { shift, scale, ...(gated && { gate: gated }) }; // b c
    });
    return {
      specs: modulation.specs,
      initialiserOf: () => zeros,
      ...(modulation.state && { state: modulation.state }),
      apply: ([x, condition], params, options) => tidy('adaLayerNormLayer', () =>
        adaLayerNorm(x as Tensor, modulate(condition as Tensor, params, options), { eps })),
      modulate,
      around: ([x, condition], params, f, options) => tidy('adaLayerNormLayer', () => {
        const { gate: gated, ...rest } = modulate(condition as Tensor, params, options);
        const branch = f(adaLayerNorm(x as Tensor, rest, { eps }));
        return add(x as Tensor, gated === undefined ? branch : mul(branch, spread(gated, branch)));
      }),
    };
  };
}

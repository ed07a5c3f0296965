import { checkPositive, type ParamSpec } from '@evenkeel/core-tensor';
import { fill, mul, tidy, type Tensor } from '@tensorflow/tfjs-core';
import type { BranchFactory } from './residual.ts';

/** LayerScaleOptions — `init`: the first value of every factor (default 1e-4; the paper's for up to 24 blocks is 1e-5, below 18 it is 0.1). */
export type LayerScaleOptions = { init?: number };

/**
 * layerScale — a trained factor for each channel of a residual branch, which starts small: `transformerBlock({ branch: layerScale(), … })`.
 *
 *     y = weight · x
 *
 * @param options  `init` (default 1e-4).
 * @returns        a BranchFactory; its layers have the params `weight: c`.
 * @throws ConfigError  if `init` is not positive.
 *
 * Source: Touvron et al. 2021, arXiv:2103.17239, eq. 4.
 */
export function layerScale({ init = 1e-4 }: LayerScaleOptions = {}): BranchFactory {
  checkPositive('layerScale', 'init', init);
  return (dim, { block } = {}) => ({
    specs: { weight: { shape: [dim], axes: 'dim', role: 'norm', ...(block !== undefined && { block }) } satisfies ParamSpec },
    initialiserOf: () => ({ shape }) => fill([...shape], init),
    apply: (x, params) => tidy('layerScale', () => mul(x, (params as { weight: Tensor }).weight)),
  });
}

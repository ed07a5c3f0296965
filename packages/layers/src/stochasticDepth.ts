import { checkProbability, ConfigError, type Layer } from '@evenkeel/core-tensor';
import { clone, mul, ones, tidy } from '@tensorflow/tfjs-core';
import { dropout } from './dropout.ts';
import type { BranchFactory } from './residual.ts';

export type StochasticDepthOptions = {
  /** Probability of leaving out a branch of the last block; that of block l of L is l/(L − 1) of it. Default 0.1. */
  rate?: number;
  /** What else acts on the branch, before: `layerScale()`. Its parameters are those of the whole. Default nothing. */
  branch?: BranchFactory;
};

const NOTHING: Layer = {
  specs: {}, apply: (x) => clone(x),
  initialiserOf: (_, path) => { throw new ConfigError(`stochasticDepth: has no parameters, got ${path}`); },
};

/**
 * stochasticDepth — leaves out a residual branch for some sequences of the batch in training, and scales it up for the others:
 * `transformerBlock({ branch: stochasticDepth({ rate: 0.1 }), … })`.
 *
 *     y_b = keep_b · x_b / (1 − rate_l)        keep_b = 1 with probability 1 − rate_l,  rate_l = rate · l/(L − 1) in block l of L
 *
 * Which ones follows from the seed of the call, on every backend alike; in evaluation y = x.
 *
 * @param options  `rate` (default 0.1); `branch` (default nothing).
 * @returns        a BranchFactory.
 * @throws ConfigError  if `rate` is not in [0, 1); in training, if there is no seed.
 *
 * Source: Huang et al. 2016, arXiv:1603.09382, eq. 4. Departs from the paper: scales in training instead of evaluation, and the first block always stays.
 */
export function stochasticDepth({ rate = 0.1, branch }: StochasticDepthOptions = {}): BranchFactory {
  checkProbability('stochasticDepth', 'rate', rate);
  return (dim, place = {}) => {
    const { block = 0, residualDepth: depth = 1 } = place;
    const ofBlock = depth === 1 ? rate : (rate * block) / (depth - 1);
    const inner = branch?.(dim, place) ?? NOTHING;
    return {
      ...inner,
      apply: (x, params, options = {}) => {
        const { train = false, seed } = options;
        if (!train || ofBlock === 0) return inner.apply(x, params, options);
        return tidy('stochasticDepth', () => {
          const keep = dropout(ones([x.shape[0] as number, ...x.shape.slice(1).map(() => 1)]), { rate: ofBlock, train, ...(seed !== undefined && { seed }) }); // b 1 1
          return mul(inner.apply(x, params, options), keep);
        });
      },
    };
  };
}

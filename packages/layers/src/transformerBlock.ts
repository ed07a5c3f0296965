import {
  checkDivisible, checkFunction, checkInteger, checkLastDim, checkOneOf, checkProbability, checkRank, ConfigError, foldSeed, splitHeads,
  type ApplyOptions, type AttentionFn, type Layer, type LinearFactory, type MlpFactory, type NormFactory, type Tree,
} from '@evenkeel/core-tensor';
import { add, concat, reshape, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { dropout as dropoutOp } from './dropout.ts';
import { initialiserOfLayers, specsOfLayers } from './layerTree.ts';
import { linearLayer } from './linear.ts';
import { mlpLayer } from './mlp.ts';

/** Placement — where the norms stand. `pre`: x + f(norm(x)); `post`: norm(x + f(x)). */
export type Placement = 'pre' | 'post';

export type TransformerBlockConfig = {
  dim: number;
  numHeads: number;
  /** Key and value heads; divides `numHeads`. Default `numHeads`. */
  numKvHeads?: number;
  norm: NormFactory;
  attention: AttentionFn;
  /** Default `linearLayer()`. */
  linear?: LinearFactory;
  /** Default `mlpLayer()`. */
  mlp?: MlpFactory;
  /** Default `pre`. */
  placement?: Placement;
  /** Whether position i sees positions ≤ i only; default false. */
  causal?: boolean;
  /** Probability of dropping each element that is added to the residual stream; default 0. */
  dropout?: number;
  /** Index of this block, from 0. */
  block: number;
  /** Number of blocks of the model, by which the projections into the residual stream start smaller. */
  depth: number;
};

/** KvCache — the keys and values of all positions so far, `b s g d` each. */
export type KvCache = { k: Tensor; v: Tensor };

/** TransformerBlock — a layer from `b t c` to `b t c`, and the same over positions that arrive bit by bit. */
export type TransformerBlock = Layer & {
  /**
   * As `apply` in evaluation, for the positions that follow those in `cache` (`null`: none yet).
   *
   * @returns  `y: b t c` and the extended cache; the caller owns all three, and still the old cache.
   * @throws ConfigError  if the block is not causal.
   */
  applyCached(x: Tensor, params: Tree<Tensor>, cache: KvCache | null): { y: Tensor; cache: KvCache };
};

type Branch = (x: Tensor) => Tensor;
type BlockParams = { norm1: Tree<Tensor>; attn: { qkv: Tree<Tensor>; proj: Tree<Tensor> }; norm2: Tree<Tensor>; mlp: Tree<Tensor> };

/**
 * transformerBlock — attention, then an MLP, each with a norm, a residual connection and dropout; all techniques are values.
 *
 *     pre:   h = x + drop(attn(norm1(x)));  y = h + drop(mlp(norm2(h)))
 *     post:  h = norm1(x + drop(attn(x)));  y = norm2(h + drop(mlp(h)))
 *
 * Params: `{ norm1, attn: { qkv, proj }, norm2, mlp }`; `qkv` maps c to (h + 2g)·d, its rows in the order q, k, v.
 *
 * @param config  see TransformerBlockConfig.
 * @returns       a TransformerBlock; `apply` needs `seed` where `train` makes dropout act.
 * @throws ConfigError  if `dim` is not divisible by `numHeads`, `numHeads` not by `numKvHeads`, or a number is out of range.
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762, §3 (post); Xiong et al. 2020, arXiv:2002.04745 (pre).
 */
export function transformerBlock(config: TransformerBlockConfig): TransformerBlock {
  const { dim, causal = false } = config;
  checkConfig(config);
  const layers = makeLayers(config);
  const { attend, attendCached } = attentionBranch(config, layers.attn);
  const run = bothBranches(config, layers);
  return {
    specs: specsOfLayers(layers),
    initialiserOf: initialiserOfLayers(layers),
    apply: (x, params, options = {}) => {
      checkInput(x, dim);
      const blockParams = params as BlockParams;
      return tidy('transformerBlock', () => run(x, blockParams, options, (z) => attend(z, blockParams.attn, options)));
    },
    applyCached: (x, params, cache) => {
      checkInput(x, dim);
      if (!causal) throw new ConfigError('transformerBlock: causal must be true for applyCached, got false');
      const blockParams = params as BlockParams;
      return tidy('transformerBlock', () => {
        const extended: { cache?: KvCache } = {};
        const y = run(x, blockParams, {}, (z) => {
          const attended = attendCached(z, blockParams.attn, cache);
          extended.cache = attended.cache;
          return attended.y;
        });
        return { y, cache: extended.cache as KvCache };
      });
    },
  };
}

type BlockLayers = { norm1: Layer; attn: { qkv: Layer; proj: Layer }; norm2: Layer; mlp: Layer };

function makeLayers({ dim, numHeads, numKvHeads = numHeads, norm, linear = linearLayer(), mlp = mlpLayer(), block, depth }: TransformerBlockConfig): BlockLayers {
  const headDim = dim / numHeads;
  const intoResidual = { block, residualDepth: depth };
  return {
    norm1: norm(dim, { block }),
    attn: { qkv: linear(dim, dim + 2 * numKvHeads * headDim, { block }), proj: linear(dim, dim, intoResidual) },
    norm2: norm(dim, { block }),
    mlp: mlp(dim, linear, intoResidual),
  };
}

/** The block around its attention: norms, residual connections, dropout and MLP in the order of the placement. */
function bothBranches({ placement = 'pre', dropout: rate = 0, block }: TransformerBlockConfig, layers: BlockLayers) {
  return (x: Tensor, params: BlockParams, options: ApplyOptions, attention: Branch): Tensor => {
    const branch = (name: 'norm1' | 'norm2' | 'mlp'): Branch => (z) => layers[name].apply(z, params[name], inside(options, name, block));
    const [norm1, norm2, mlp] = [branch('norm1'), branch('norm2'), branch('mlp')];
    const drop = (name: string, delta: Tensor): Tensor => dropoutOp(delta, { rate, ...inside(options, name, block) });
    const residual = (from: Tensor, name: string, delta: Tensor): Tensor => add(from, drop(name, delta));
    if (placement === 'pre') {
      const { sum: h, y: normed } = normOfSum(layers.norm2, drop('residual1', attention(norm1(x))), x, params.norm2, inside(options, 'norm2', block));
      return residual(h, 'residual2', mlp(normed)); // b t c
    }
    const h = norm1(residual(x, 'residual1', attention(x))); // b t c
    return norm2(residual(h, 'residual2', mlp(h))); // b t c
  };
}

/** The norm of x + residual, and that sum; in one pass where the norm has one. */
function normOfSum(norm: Layer, x: Tensor, residual: Tensor, params: Tree<Tensor>, options: ApplyOptions): { y: Tensor; sum: Tensor } {
  if (norm.applyToSum !== undefined) return norm.applyToSum(x, residual, params, options);
  const sum = add(residual, x);
  return { y: norm.apply(sum, params, options), sum };
}

/** Projects to q, k and v, attends, and projects back: `attend` to the given positions, `attendCached` to the cached ones too. */
function attentionBranch({ dim, numHeads, numKvHeads = numHeads, attention, causal = false, block }: TransformerBlockConfig, layers: BlockLayers['attn']) {
  const heads = { numHeads, numKvHeads };
  type Params = BlockParams['attn'];
  const project = (x: Tensor, params: Params, options: ApplyOptions): Tensor => layers.qkv.apply(x, params.qkv, inside(options, 'qkv', block)); // b t (h + 2g)·d
  const projectBack = (mixed: Tensor, params: Params, options: ApplyOptions): Tensor => {
    const [B, T] = mixed.shape as [number, number];
    return layers.proj.apply(reshape(mixed, [B, T, dim]), params.proj, inside(options, 'proj', block)); // b t c
  };
  return {
    attend(x: Tensor, params: Params, options: ApplyOptions): Tensor {
      const projected = project(x, params, options);
      const call = { causal, ...inside(options, 'attention', block) };
      if (attention.packed !== undefined) return projectBack(attention.packed(projected, { ...call, ...heads }), params, options);
      const { q, k, v } = splitHeads(projected, heads); // b t h d, b t g d, b t g d
      return projectBack(attention(q, k, v, call), params, options);
    },
    attendCached(x: Tensor, params: Params, cached: KvCache | null): { y: Tensor; cache: KvCache } {
      const { q, k, v } = splitHeads(project(x, params, {}), heads); // b t h d, b t g d, b t g d
      const cache = cached === null ? { k, v } : { k: concat([cached.k, k], 1), v: concat([cached.v, v], 1) }; // b s g d
      const mixed = attention(q, cache.k, cache.v, { causal }); // b t h d
      return { y: projectBack(mixed, params, {}), cache };
    },
  };
}

/** The options for one part of the block, with a seed of its own. */
function inside({ train = false, seed }: ApplyOptions, name: string, block: number): ApplyOptions {
  return seed === undefined ? { train } : { train, seed: foldSeed(seed, name, block) };
}

function checkInput(x: Tensor, dim: number): void {
  checkRank('transformerBlock', 'x', x, 3);
  checkLastDim('transformerBlock', 'x', x, dim);
}

function checkConfig({ dim, numHeads, numKvHeads = numHeads, norm, attention, placement = 'pre', dropout = 0, block, depth }: TransformerBlockConfig): void {
  checkFunction('transformerBlock', 'norm', norm, 'layerNormLayer()');
  checkFunction('transformerBlock', 'attention', attention, 'flashAttention');
  checkInteger('transformerBlock', 'dim', dim);
  checkInteger('transformerBlock', 'numHeads', numHeads);
  checkInteger('transformerBlock', 'numKvHeads', numKvHeads);
  checkInteger('transformerBlock', 'block', block, 0);
  checkInteger('transformerBlock', 'depth', depth);
  checkDivisible('transformerBlock', 'dim', dim, 'numHeads', numHeads);
  checkDivisible('transformerBlock', 'numHeads', numHeads, 'numKvHeads', numKvHeads);
  checkOneOf('transformerBlock', 'placement', placement, ['pre', 'post']);
  checkProbability('transformerBlock', 'dropout', dropout);
}

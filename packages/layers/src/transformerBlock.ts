import {
  checkDivisible, checkFunction, checkInteger, checkLastDim, checkProbability, checkRank, ConfigError, partOptions,
  type ApplyOptions, type AttentionFn, type Layer, type LinearFactory, type MlpFactory, type NormFactory, type Tree,
} from '@evenkeel/core-tensor';
import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { attentionBranch, rowsOf, type AttentionLayers, type AttentionParams, type KvCache } from './attentionBranch.ts';
import { dropout as dropoutOp } from './dropout.ts';
import { initialiserOfLayers, specsOfLayers, stateOfLayers } from './layerTree.ts';
import { linearLayer } from './linear.ts';
import { mlpLayer } from './mlp.ts';
import { ofPart, withSeed } from './ofPart.ts';
import { factorAt, placementRule, type Placement, type PlacementRule } from './placements.ts';
import { residual, sumOf, type BranchFactory, type Residual, type ResidualCall } from './residual.ts';
import { scaledInitialiser } from './scaledInitialiser.ts';

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
  /** Where the norms stand; default `pre`. */
  placement?: Placement;
  /** Norms of queries and keys, per head, with parameters that all heads share: `qkNorm()` of @evenkeel/norms. Default none. */
  qkNorm?: NormFactory;
  /** Acts on what is added to the residual stream, in both of its branches: `stochasticDepth({ rate: 0.1 })`, `layerScale()`. Default nothing. */
  branch?: BranchFactory;
  /** Whether position i sees positions ≤ i only; default false. */
  causal?: boolean;
  /** Probability of dropping each element that is added to the residual stream; default 0. */
  dropout?: number;
  /** Index of this block in the whole model, from 0. */
  block: number;
  /** Number of blocks of the model, by which the projections into the residual stream start smaller. */
  depth: number;
};

/** TransformerBlock — a layer from `b t c` to `b t c`, and the same over positions that arrive bit by bit. */
export type TransformerBlock = Layer & {
  /** As `apply`, but computes only the positions `rows: m` (int32, into b·t) of the result; attention sees all. `1 m c`. */
  applyToRows(x: Tensor, rows: Tensor, params: Tree<Tensor>, options?: ApplyOptions): Tensor;
  /**
   * As `apply` in evaluation, for the positions that follow those in `cache` (`null`: none yet).
   *
   * @returns  `y: b t c` and the extended cache; the caller owns all three, and still the old cache.
   * @throws ConfigError  if the block is not causal.
   */
  applyCached(x: Tensor, params: Tree<Tensor>, cache: KvCache | null, options?: ApplyOptions): { y: Tensor; cache: KvCache };
};

type BlockParams = Readonly<Record<string, Tree<Tensor>>>;
type BlockLayers = { readonly residuals: readonly [Residual, Residual]; readonly attn: AttentionLayers; readonly mlp: Layer };

/**
 * transformerBlock — attention, then an MLP, each with norms, a residual connection and dropout; all techniques are values.
 *
 *     pre:     h = x + drop(attn(norm1(x)));             y = h + drop(mlp(norm2(h)))
 *     post:    h = norm1(x + drop(attn(x)));             y = norm2(h + drop(mlp(h)))
 *     peri:    h = x + drop(norm1Out(attn(norm1(x))));   y = h + drop(norm2Out(mlp(norm2(h))))
 *
 * and so on: see PlacementRule. Params: `{ norm1, branch1?, attn: { qkv, qNorm?, kNorm?, proj }, norm2, branch2?, mlp }`, with the norms that the
 * placement has: none, `norm1`, or `norm1` and `norm1Out` where norms stand on both sides. `qkv` maps c to (h + 2g)·d, its rows in the order q, k, v.
 *
 * Observed: `attn.out` and `mlp.out`, what each adds to the residual stream; `attn.entropy` and `attn.rowMax` from the attention; `out`.
 *
 * @param config  see TransformerBlockConfig.
 * @returns       a TransformerBlock; `apply` needs `seed` where `train` makes dropout act.
 * @throws ConfigError  if `dim` is not divisible by `numHeads`, `numHeads` not by `numKvHeads`, or a number is out of range.
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762, §3 (post); Xiong et al. 2020, arXiv:2002.04745 (pre).
 */
export function transformerBlock(config: TransformerBlockConfig): TransformerBlock {
  const { dim, numHeads, numKvHeads = numHeads, attention, causal = false, block, depth } = config;
  checkConfig(config);
  const rule = placementRule('transformerBlock', config.placement ?? 'pre');
  const layers = makeLayers(config, rule);
  const { residuals: [first, second], attn, mlp } = layers;
  const tree = { ...first.layers, attn, ...second.layers, mlp }; // as in the parameters
  const { attend, attendCached } = attentionBranch({ dim, numHeads, numKvHeads, attention, causal, block }, layers.attn);
  const run = bothBranches(config, layers);
  const initialiserOf = initialiserOfLayers(tree);
  const apply = (x: Tensor, params: Tree<Tensor>, options: ApplyOptions, rows?: Tensor): Tensor => {
    checkInput(x, dim);
    const blockParams = params as BlockParams;
    return tidy('transformerBlock', () => run(x, blockParams, options, (z) => attend(z, attnOf(blockParams), partOptions(options, 'attn'), rows), rows));
  };
  return {
    specs: specsOfLayers(tree),
    initialiserOf: rule.initScale === undefined ? initialiserOf : scaledInitialiser(initialiserOf, factorAt(rule, 'initScale', { block, depth })),
    ...stateOfLayers(tree),
    apply: (x, params, options = {}) => apply(x, params, options),
    applyToRows: (x, rows, params, options = {}) => apply(x, params, options, rows),
    applyCached: (x, params, cache, options = {}) => {
      checkInput(x, dim);
      if (!causal) throw new ConfigError('transformerBlock: causal must be true for applyCached, got false');
      const blockParams = params as BlockParams;
      const evaluation = { ...options, train: false };
      return tidy('transformerBlock', () => {
        const extended: { cache?: KvCache } = {};
        const y = run(x, blockParams, evaluation, (z) => {
          const attended = attendCached(z, attnOf(blockParams), cache, partOptions(evaluation, 'attn'));
          extended.cache = attended.cache;
          return attended.y;
        });
        return { y, cache: extended.cache as KvCache };
      });
    },
  };
}

const attnOf = (params: BlockParams): AttentionParams => params['attn'] as unknown as AttentionParams;

function makeLayers(config: TransformerBlockConfig, rule: PlacementRule): BlockLayers {
  const { dim, numHeads, numKvHeads = numHeads, norm, qkNorm, linear = linearLayer(), mlp = mlpLayer(), branch, block, depth } = config;
  const headDim = dim / numHeads;
  const kvDim = numKvHeads * headDim;
  const intoResidual = { block, ...(rule.shrinkInit === true && { residualDepth: depth }) };
  const ofHeads = { block, outAxis: 'headDim' };
  const around = (index: number): Residual => residual(index, rule, { block, depth }, {
    makeNorm: () => norm(dim, { block }), ...(branch && { branch: branch(dim, { block, residualDepth: depth }) }),
  });
  return {
    residuals: [around(1), around(2)],
    attn: {
      qkv: linear(dim, dim + 2 * kvDim, { block, outAxis: 'qkv', inAxis: 'dim', parts: [dim, kvDim, kvDim], headDim }),
      ...(qkNorm && { qNorm: qkNorm(headDim, ofHeads), kNorm: qkNorm(headDim, ofHeads) }),
      proj: linear(dim, dim, { ...intoResidual, outAxis: 'dim', inAxis: 'heads', headDim }),
    },
    mlp: mlp(dim, linear, intoResidual),
  };
}

/** The block around its attention: norms, residual connections, dropout and MLP. */
function bothBranches({ dropout: rate = 0, block }: TransformerBlockConfig, { residuals, mlp }: BlockLayers) {
  return (x: Tensor, params: BlockParams, options: ApplyOptions, attention: (z: Tensor) => Tensor, rows?: Tensor): Tensor => {
    const optionsOf = (name: string): ApplyOptions => ofPart(options, name, block);
    const call = (drawn: string, observed: string): ResidualCall => ({
      params, optionsOf,
      drop: (branch) => dropoutOp(branch, { rate, ...withSeed(options, drawn, block) }),
      observe: (branch) => options.observe?.(observed, branch),
    });
    const attended = residuals[0].apply({ x }, attention, { ...call('residual1', 'attn.out'), keep: (kept) => rowsOf(kept, rows) });
    const y = sumOf(residuals[1].apply(attended, (z) => mlp.apply(z, params['mlp'] as Tree<Tensor>, optionsOf('mlp')), call('residual2', 'mlp.out')));
    options.observe?.('out', y);
    return y; // b t c
  };
}

function checkInput(x: Tensor, dim: number): void {
  checkRank('transformerBlock', 'x', x, 3);
  checkLastDim('transformerBlock', 'x', x, dim);
}

function checkConfig({ dim, numHeads, numKvHeads = numHeads, norm, qkNorm, branch, attention, dropout = 0, block, depth }: TransformerBlockConfig): void {
  checkFunction('transformerBlock', 'norm', norm, 'layerNormLayer()');
  checkFunction('transformerBlock', 'attention', attention, 'flashAttention');
  checkInteger('transformerBlock', 'dim', dim);
  checkInteger('transformerBlock', 'numHeads', numHeads);
  checkInteger('transformerBlock', 'numKvHeads', numKvHeads);
  checkInteger('transformerBlock', 'block', block, 0);
  checkInteger('transformerBlock', 'depth', depth);
  checkDivisible('transformerBlock', 'dim', dim, 'numHeads', numHeads);
  checkDivisible('transformerBlock', 'numHeads', numHeads, 'numKvHeads', numKvHeads);
  if (qkNorm !== undefined) checkFunction('transformerBlock', 'qkNorm', qkNorm, 'qkNorm()');
  if (branch !== undefined) checkFunction('transformerBlock', 'branch', branch, 'stochasticDepth()');
  checkProbability('transformerBlock', 'dropout', dropout);
}

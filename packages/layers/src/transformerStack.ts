import {
  checkInteger, partOptions, rematerialise, type ApplyOptions, type AttentionFn, type Layer, type LinearFactory, type MlpFactory, type NormFactory, type Tree,
} from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { KvCache } from './attentionBranch.ts';
import { placementRule, type Placement } from './placements.ts';
import type { BranchFactory } from './residual.ts';
import { transformerBlock, type TransformerBlock, type TransformerBlockConfig } from './transformerBlock.ts';

/** StackTechniques — the parts of its blocks that a model lets its user exchange, each with a default of the model's own. */
export type StackTechniques = {
  norm?: NormFactory;
  linear?: LinearFactory;
  attention?: AttentionFn;
  mlp?: MlpFactory;
  placement?: Placement;
  /** Norms of queries and keys, per head: `qkNorm()` of @evenkeel/norms. Default none. */
  qkNorm?: NormFactory;
  /** Acts on both residual branches: `stochasticDepth()`, `layerScale()`. Default nothing. */
  branch?: BranchFactory;
  /** Recompute each block in the backward pass instead of keeping its activations. Default false. */
  rematerialise?: boolean;
};

/** TransformerStackConfig — that of its blocks, and `rematerialise` (default false). */
export type TransformerStackConfig = Omit<TransformerBlockConfig, 'block'> & Pick<StackTechniques, 'rematerialise'>;

/** StackParams — one subtree per block, and the last norm where the placement has one: part of the parameters of a model. */
export type StackParams = { readonly blocks: readonly Tree<Tensor>[]; readonly norm?: Tree<Tensor> };

export type TransformerStack = {
  /** To be spread into the model's layers, so that its parameters hold StackParams. */
  readonly layers: { readonly blocks: readonly TransformerBlock[]; readonly norm?: Layer };
  /** `b t c` through all blocks and the last norm; `options` are the model's. */
  apply(x: Tensor, params: StackParams, options?: ApplyOptions): Tensor;
  /** The same for the positions `rows: m` (int32, into b·t) of the result alone, `1 m c`: the last block computes no others. */
  applyToRows(x: Tensor, rows: Tensor, params: StackParams, options?: ApplyOptions): Tensor;
  /** The same in evaluation for positions that follow those in `cache`, one entry per block (see TransformerBlock). */
  applyCached(x: Tensor, params: StackParams, cache: readonly KvCache[] | null, options?: ApplyOptions): { y: Tensor; cache: KvCache[] };
};

/**
 * transformerStack — the blocks of a model one after another, and the norm behind the last one that some placements want.
 *
 * Observed: `blocks.0.…` (see transformerBlock).
 *
 * @throws ConfigError  if a size or technique does not fit (see transformerBlock).
 */
export function transformerStack({ rematerialise: again = false, ...config }: TransformerStackConfig): TransformerStack {
  checkInteger('transformerStack', 'depth', config.depth);
  const { final = false } = placementRule('transformerStack', config.placement ?? 'pre');
  const blocks = Array.from({ length: config.depth }, (_, block) => transformerBlock({ ...config, block }));
  const norm = final ? config.norm(config.dim) : undefined;
  const toEnd = (x: Tensor, params: StackParams, options: ApplyOptions): Tensor => norm?.apply(x, params.norm as Tree<Tensor>, partOptions(options, 'norm')) ?? x;
  const run = (x: Tensor, params: StackParams, options: ApplyOptions, rows?: Tensor): Tensor => {
    const end = blocks.reduce((h, block, i) => {
      const of = partOptions(options, 'blocks', i);
      const ofLast = i === blocks.length - 1 ? rows : undefined;
      const f = (z: Tensor, p: Tree<Tensor>): Tensor => (ofLast === undefined ? block.apply(z, p, of) : block.applyToRows(z, ofLast, p, of));
      return (again ? rematerialise(f) : f)(h, params.blocks[i] as Tree<Tensor>);
    }, x);
    return toEnd(end, params, options);
  };
  return {
    layers: { blocks, ...(norm && { norm }) },
    apply: (x, params, options = {}) => run(x, params, options),
    applyToRows: (x, rows, params, options = {}) => run(x, params, options, rows),
    applyCached: (x, params, cache, options = {}) => {
      let y = x;
      const grown = blocks.map((block, i) => {
        const next = block.applyCached(y, params.blocks[i] as Tree<Tensor>, cache?.[i] ?? null, partOptions(options, 'blocks', i));
        y = next.y;
        return next.cache;
      });
      return { y: toEnd(y, params, options), cache: grown };
    },
  };
}

import { splitHeads, type ApplyOptions, type AttentionFn, type Layer, type Tree } from '@evenkeel/core-tensor';
import { concat, reshape, type Tensor } from '@tensorflow/tfjs-core';
import { ofPart, withSeed } from './ofPart.ts';

/** KvCache — the keys and values of all positions so far, `b s g d` each; keys as they are after their norm, if they have one. */
export type KvCache = { k: Tensor; v: Tensor };

/** AttentionLayers — the layers around an attention; the norms are of queries and keys, per head. */
export type AttentionLayers = { readonly qkv: Layer; readonly qNorm?: Layer; readonly kNorm?: Layer; readonly proj: Layer };
export type AttentionParams = { readonly qkv: Tree<Tensor>; readonly qNorm?: Tree<Tensor>; readonly kNorm?: Tree<Tensor>; readonly proj: Tree<Tensor> };

type AttentionBranchConfig = { dim: number; numHeads: number; numKvHeads: number; attention: AttentionFn; causal: boolean; block: number };

/** AttentionBranch — projects to q, k and v, attends, and projects back: `attend` to the given positions, `attendCached` to the cached ones too. */
export type AttentionBranch = {
  attend(x: Tensor, params: AttentionParams, options: ApplyOptions): Tensor;
  attendCached(x: Tensor, params: AttentionParams, cached: KvCache | null, options: ApplyOptions): { y: Tensor; cache: KvCache };
};

/** attentionBranch — the attention of a block with its projections; `b t c` to `b t c`. */
export function attentionBranch({ dim, numHeads, numKvHeads, attention, causal, block }: AttentionBranchConfig, layers: AttentionLayers): AttentionBranch {
  const heads = { numHeads, numKvHeads };
  const isPackable = attention.packed !== undefined && layers.qNorm === undefined;
  const project = (x: Tensor, params: AttentionParams, options: ApplyOptions): Tensor => layers.qkv.apply(x, params.qkv, ofPart(options, 'qkv', block)); // b t (h + 2g)·d
  const projectBack = (mixed: Tensor, params: AttentionParams, options: ApplyOptions): Tensor => {
    const [B, T] = mixed.shape as [number, number];
    return layers.proj.apply(reshape(mixed, [B, T, dim]), params.proj, ofPart(options, 'proj', block)); // b t c
  };
  const split = (projected: Tensor, params: AttentionParams, options: ApplyOptions): { q: Tensor; k: Tensor; v: Tensor } => {
    const { q, k, v } = splitHeads(projected, heads); // b t h d, b t g d, b t g d
    const normed = (x: Tensor, name: 'qNorm' | 'kNorm'): Tensor => layers[name]?.apply(x, params[name] as Tree<Tensor>, ofPart(options, name, block)) ?? x;
    return { q: normed(q, 'qNorm'), k: normed(k, 'kNorm'), v };
  };
  return {
    attend(x, params, options) {
      const projected = project(x, params, options);
      const { state: _, ...call } = withSeed(options, 'attention', block);
      if (isPackable) return projectBack(attention.packed!(projected, { ...call, causal, ...heads }), params, options);
      const { q, k, v } = split(projected, params, options);
      return projectBack(attention(q, k, v, { ...call, causal }), params, options);
    },
    attendCached(x, params, cached, options) {
      const { q, k, v } = split(project(x, params, options), params, options);
      const cache = cached === null ? { k, v } : { k: concat([cached.k, k], 1), v: concat([cached.v, v], 1) }; // b s g d
      const { state: _, ...call } = options;
      const mixed = attention(q, cache.k, cache.v, { ...call, causal }); // b t h d
      return { y: projectBack(mixed, params, options), cache };
    },
  };
}

import { ConfigError, splitHeads, type ApplyOptions, type AttentionFn, type Layer, type Tree } from '@evenkeel/core-tensor';
import { concat, reshape, type Tensor } from '@tensorflow/tfjs-core';
import { embedding } from './embedding.ts';
import { ofPart, withSeed } from './ofPart.ts';

/** KvCache — the keys and values of all positions so far, `b s g d` each; keys as they are after their norm, if they have one. */
export type KvCache = { k: Tensor; v: Tensor };

/** AttentionLayers — the layers around an attention; the norms are of queries and keys, per head. */
export type AttentionLayers = { readonly qkv: Layer; readonly qNorm?: Layer; readonly kNorm?: Layer; readonly proj: Layer };
export type AttentionParams = { readonly qkv: Tree<Tensor>; readonly qNorm?: Tree<Tensor>; readonly kNorm?: Tree<Tensor>; readonly proj: Tree<Tensor> };

type AttentionBranchConfig = { dim: number; numHeads: number; numKvHeads: number; attention: AttentionFn; causal: boolean; block: number };

/** AttentionBranch — projects to q, k and v, attends, and projects back: `attend` to the given positions, `attendCached` to the cached ones too. */
export type AttentionBranch = {
  /** With `rows: m` (int32, into b·t) what these positions alone are given, `1 m c`. */
  attend(x: Tensor, params: AttentionParams, options: ApplyOptions, rows?: Tensor): Tensor;
  attendCached(x: Tensor, params: AttentionParams, cached: KvCache | null, options: ApplyOptions): { y: Tensor; cache: KvCache };
};

/** attentionBranch — the attention of a block with its projections; `b t c` to `b t c`. */
export function attentionBranch({ dim, numHeads, numKvHeads, attention, causal, block }: AttentionBranchConfig, layers: AttentionLayers): AttentionBranch {
  const heads = { numHeads, numKvHeads };
  const isPackable = attention.packed !== undefined && layers.qNorm === undefined;
  const project = (x: Tensor, params: AttentionParams, options: ApplyOptions): Tensor => layers.qkv.apply(x, params.qkv, ofPart(options, 'qkv', block)); // b t (h + 2g)·d
  const projectBack = (mixed: Tensor, params: AttentionParams, options: ApplyOptions, rows?: Tensor): Tensor => {
    const [B, T] = mixed.shape as [number, number];
    return layers.proj.apply(rowsOf(reshape(mixed, [B, T, dim]), rows), params.proj, ofPart(options, 'proj', block)); // b t c
  };
  const within = (projected: Tensor, params: AttentionParams, options: ApplyOptions, cuSeqlens: readonly number[]): Tensor => {
    if (attention.varlen === undefined) throw new ConfigError('transformerBlock: attention must have varlen where cuSeqlens are given, got one without');
    const { q, k, v } = split(projected, params, options);
    const [flatQ, flatK, flatV] = [q, k, v].map((x) => reshape(x, [-1, ...x.shape.slice(2)])) as [Tensor, Tensor, Tensor];
    const { state: _, cuSeqlens: _given, ...call } = withSeed(options, 'attention', block);
    return reshape(attention.varlen(flatQ, flatK, flatV, cuSeqlens, cuSeqlens, { ...call, causal }), q.shape); // 1 n h d
  };
  const split = (projected: Tensor, params: AttentionParams, options: ApplyOptions): { q: Tensor; k: Tensor; v: Tensor } => {
    const { q, k, v } = splitHeads(projected, heads); // b t h d, b t g d, b t g d
    const normed = (x: Tensor, name: 'qNorm' | 'kNorm'): Tensor => layers[name]?.apply(x, params[name] as Tree<Tensor>, ofPart(options, name, block)) ?? x;
    return { q: normed(q, 'qNorm'), k: normed(k, 'kNorm'), v };
  };
  return {
    attend(x, params, options, rows) {
      const projected = project(x, params, options);
      if (options.cuSeqlens !== undefined) return projectBack(within(projected, params, options, options.cuSeqlens), params, options, rows);
      const { state: _, ...call } = withSeed(options, 'attention', block);
      if (isPackable) return projectBack(attention.packed!(projected, { ...call, causal, ...heads }), params, options, rows);
      const { q, k, v } = split(projected, params, options);
      return projectBack(attention(q, k, v, { ...call, causal }), params, options, rows);
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

/** rowsOf — some rows of `b t c`, `1 m c`, or all of them as they are. */
export function rowsOf(x: Tensor, rows: Tensor | undefined): Tensor {
  if (rows === undefined) return x;
  const dim = x.shape[x.shape.length - 1] as number;
  return reshape(embedding(rows, { weight: reshape(x, [-1, dim]) }), [1, rows.size, dim]);
}

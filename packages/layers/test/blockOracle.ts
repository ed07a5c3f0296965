import { initParams, treeEntries, treeFromEntries, type AttentionFn, type NormFactory, type Tree } from '@evenkeel/core-tensor';
import { transformerBlock, type TransformerBlock, type TransformerBlockConfig } from '@evenkeel/layers';
import { attentionReference, flashAttention } from '@evenkeel/flash-attention';
import { layerNormLayer } from '@evenkeel/norms';
import { attention64, gelu64, layerNorm64, linear64, randomTensor } from '@evenkeel/testing';
import { type Tensor } from '@tensorflow/tfjs-core';

export type BlockSizes = Required<Pick<TransformerBlockConfig, 'dim' | 'numHeads' | 'numKvHeads' | 'causal' | 'placement'>>;

/** makeBlock — a block with layer norms and flash attention. */
export function makeBlock(sizes: BlockSizes, extra: Partial<TransformerBlockConfig> = {}): TransformerBlock {
  const [norm, attention]: [NormFactory, AttentionFn] = [layerNormLayer(), flashAttention];
  return transformerBlock({ ...sizes, norm, attention, block: 0, depth: 2, ...extra });
}

/** The slow attention, to compare with. */
export const slowAttention: AttentionFn = attentionReference;

/** makeParams — parameters of the block far enough from their start that every part of it shows, flat by path. */
export function makeParams(block: TransformerBlock): Record<string, Tensor> {
  return Object.fromEntries(treeEntries(block.specs).map(([path, spec], i) =>
    [path, randomTensor([...spec.shape] as [number], { seed: i + 1, std: 0.5, mean: path.startsWith('norm') && path.endsWith('weight') ? 1 : 0 })]));
}

/** nest — the flat parameters as the block wants them. */
export const nest = (block: TransformerBlock, flat: Record<string, Tensor>): Tree<Tensor> => treeFromEntries(block.specs as Tree<unknown>, Object.entries(flat));

/** initialised — the block's own first parameters. */
export const initialised = (block: TransformerBlock, seed: number): Tree<Tensor> => initParams(block.specs, seed, block.initialiserOf);

type Flat = Record<string, ArrayLike<number>>;

/** block64 — the block over one batch of `seqLen` positions in float64, from the formulas of its docstring. */
export function block64(x: ArrayLike<number>, p: Flat, seqLen: number, { dim, numHeads, numKvHeads, causal, placement }: BlockSizes): Float64Array {
  const batchSize = x.length / (seqLen * dim);
  const headDim = dim / numHeads;
  const linear = (z: ArrayLike<number>, name: string, inDim: number) => linear64(z, p[`${name}.weight`]!, p[`${name}.bias`], inDim);
  const norm = (z: ArrayLike<number>, name: string) => layerNorm64(z, dim, { weight: p[`${name}.weight`], bias: p[`${name}.bias`], eps: 1e-5 });
  const add = (a: ArrayLike<number>, b: ArrayLike<number>) => Float64Array.from(a, (value, i) => value + b[i]!);
  const attn = (z: ArrayLike<number>) => {
    const qkv = linear(z, 'attn.qkv', dim);
    const [kvDim, width] = [numKvHeads * headDim, dim + 2 * numKvHeads * headDim];
    const columns = (from: number, to: number) => qkv.filter((_, i) => i % width >= from && i % width < to);
    const { out } = attention64(columns(0, dim), columns(dim, dim + kvDim), columns(dim + kvDim, width),
      { batchSize, seqLen, kvLen: seqLen, numHeads, numKvHeads, headDim, causal });
    return linear(out, 'attn.proj', dim);
  };
  const mlp = (z: ArrayLike<number>) => linear(gelu64(linear(z, 'mlp.up', dim), 'tanh'), 'mlp.down', 4 * dim);
  if (placement === 'pre') {
    const h = add(x, attn(norm(x, 'norm1')));
    return add(h, mlp(norm(h, 'norm2')));
  }
  const h = norm(add(x, attn(x)), 'norm1');
  return norm(add(h, mlp(h)), 'norm2');
}

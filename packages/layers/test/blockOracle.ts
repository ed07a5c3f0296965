/** Transformer blocks in float64, from the formulas of the papers and not from PlacementRule, and blocks of the package to compare with. */
import { initParams, treeEntries, treeFromEntries, type AttentionFn, type NormFactory, type Tree } from '@evenkeel/core-tensor';
import { layerNormScaling, rotaryAttention, transformerBlock, type Placement, type TransformerBlock, type TransformerBlockConfig } from '@evenkeel/layers';
import { attentionReference, flashAttention } from '@evenkeel/flash-attention';
import { layerNormLayer, qkNorm } from '@evenkeel/norms';
import { attention64, gelu64, layerNorm64, linear64, randomTensor, rmsNorm64 } from '@evenkeel/testing';
import { type Tensor } from '@tensorflow/tfjs-core';

type Numbers = ArrayLike<number>;
type Map64 = (z: Numbers) => Float64Array;
/** A sub-layer f with its residual connection; `norm`, `out` and `sum` are its norms by name; block l, from 1, of N. */
type Formula64 = (x: Numbers, f: Map64, at: { norm: Map64; out: Map64; sum: Map64; l: number; N: number }) => { y: Float64Array; added: Float64Array };

const times = (c: number, x: Numbers): Float64Array => Float64Array.from(x, (value) => c * value);
const plus = (a: Numbers, b: Numbers): Float64Array => Float64Array.from(a, (value, i) => value + b[i]!);
const residual = (x: Numbers, added: Float64Array, after: Map64 = (z) => times(1, z)): ReturnType<Formula64> => ({ y: after(plus(x, added)), added });

/** Each placement: what the block is given, and what it should compute. */
export const PLACED = {
  pre: { placement: 'pre', formula: (x, f, { norm }) => residual(x, f(norm(x))) },
  post: { placement: 'post', formula: (x, f, { norm }) => residual(x, f(x), norm) },
  peri: { placement: 'peri', formula: (x, f, { norm, out }) => residual(x, out(f(norm(x)))) },
  output: { placement: 'output', formula: (x, f, { out }) => residual(x, out(f(x))) },
  lns: { placement: 'lns', formula: (x, f, { norm, l }) => residual(x, f(times(1 / Math.sqrt(l), norm(x)))) },
  deepnorm: { placement: 'deepnorm', formula: (x, f, { norm, N }) => residual(times((2 * N) ** 0.25, x), f(x), norm) },
  none: { placement: 'none', formula: (x, f) => residual(x, f(x)) },
  'lns after the sub-layer': {
    placement: layerNormScaling({ position: 'afterSublayer' }),
    formula: (x, f, { norm, l }) => residual(x, times(1 / Math.sqrt(l), f(norm(x)))),
  },
  'a rule with everything': {
    placement: { input: true, output: true, sum: true, inputScale: ({ block }) => block + 1.5, outputScale: () => 0.3, residualScale: ({ depth }) => 2 / depth },
    formula: (x, f, { norm, out, sum, l, N }) => residual(times(2 / N, x), out(times(0.3, f(times(l + 0.5, norm(x))))), sum),
  },
} as const satisfies Record<string, { placement: Placement; formula: Formula64 }>;

export type Placed = keyof typeof PLACED;
export const PLACED_NAMES = Object.keys(PLACED) as Placed[];

export type BlockSizes = Required<Pick<TransformerBlockConfig, 'dim' | 'numHeads' | 'numKvHeads' | 'causal'>> & {
  placed: Placed;
  qkNorm?: 'layer' | 'rms';
  rotary?: boolean;
  block?: number;
  depth?: number;
};

/** makeBlock — a block with layer norms and flash attention. */
export function makeBlock({ placed, qkNorm: kind, rotary, block = 0, depth = 2, ...sizes }: BlockSizes, extra: Partial<TransformerBlockConfig> = {}): TransformerBlock {
  const [norm, attention]: [NormFactory, AttentionFn] = [layerNormLayer(), rotary ? rotaryAttention(flashAttention) : flashAttention];
  const { placement } = PLACED[placed];
  return transformerBlock({ ...sizes, norm, attention, placement, block, depth, ...(kind && { qkNorm: qkNorm({ kind }) }), ...extra });
}

/** The slow attention, to compare with. */
export const slowAttention: AttentionFn = attentionReference;

/** makeParams — parameters of the block far enough from their start that every part of it shows, flat by path. */
export function makeParams(block: TransformerBlock): Record<string, Tensor> {
  return Object.fromEntries(treeEntries(block.specs).map(([path, spec], i) =>
    [path, randomTensor([...spec.shape] as [number], { seed: i + 1, std: 0.5, mean: spec.role === 'norm' ? 1 : 0 })]));
}

/** nest — the flat parameters as the block wants them. */
export const nest = (block: TransformerBlock, flat: Record<string, Tensor>): Tree<Tensor> => treeFromEntries(block.specs as Tree<unknown>, Object.entries(flat));

/** initialised — the block's own first parameters. */
export const initialised = (block: TransformerBlock, seed: number): Tree<Tensor> => initParams(block.specs, seed, block.initialiserOf);

type Flat = Record<string, Numbers>;

type Observed64 = Record<'out' | 'attn.out' | 'mlp.out' | 'attn.entropy' | 'attn.rowMax', Float64Array>;

/** observed64 — the block over sequences of `seqLen` positions in float64: its output, and what else it says of itself. */
export function observed64(x: Numbers, p: Flat, seqLen: number, sizes: BlockSizes): Observed64 {
  const { dim, placed, block = 0, depth = 2 } = sizes;
  const formula: Formula64 = PLACED[placed].formula;
  const linear = (z: Numbers, name: string, inDim: number) => linear64(z, p[`${name}.weight`]!, p[`${name}.bias`], inDim);
  const norm = (name: string): Map64 => (z) => layerNorm64(z, dim, { weight: p[`${name}.weight`]!, bias: p[`${name}.bias`]!, eps: 1e-5 });
  const at = (name: string) => ({ norm: norm(name), out: norm(`${name}Out`), sum: norm(`${name}Sum`), l: block + 1, N: depth });
  const stats = { entropy: new Float64Array(), rowMax: new Float64Array() };
  const attn: Map64 = (z) => {
    const { out, ...told } = attend64(linear(z, 'attn.qkv', dim), p, seqLen, sizes);
    Object.assign(stats, told);
    return linear(out, 'attn.proj', dim);
  };
  const mlp: Map64 = (z) => linear(gelu64(linear(z, 'mlp.up', dim), 'tanh'), 'mlp.down', 4 * dim);
  const first = formula(x, attn, at('norm1'));
  const second = formula(first.y, mlp, at('norm2'));
  return { out: second.y, 'attn.out': first.added, 'mlp.out': second.added, 'attn.entropy': stats.entropy, 'attn.rowMax': stats.rowMax };
}

/** block64 — the output alone. */
export const block64 = (x: Numbers, p: Flat, seqLen: number, sizes: BlockSizes): Float64Array => observed64(x, p, seqLen, sizes).out;

/** Attention on `b t (h+2g)·d`, with the norms of queries and keys and the rotation that the block has. */
function attend64(qkv: Float64Array, p: Flat, seqLen: number, { dim, numHeads, numKvHeads, causal, qkNorm: kind, rotary }: BlockSizes): ReturnType<typeof attention64> {
  const headDim = dim / numHeads;
  const [kvDim, width] = [numKvHeads * headDim, dim + 2 * numKvHeads * headDim];
  const columns = (from: number, to: number) => qkv.filter((_, i) => i % width >= from && i % width < to);
  const normed = (z: Float64Array, name: string) => {
    if (kind === undefined) return z;
    return (kind === 'layer' ? layerNorm64 : rmsNorm64)(z, headDim, { weight: p[`attn.${name}.weight`]!, eps: 1e-6 });
  };
  const turned = (z: Float64Array, heads: number) => (rotary ? rotary64(z, seqLen, heads, headDim) : z);
  const q = turned(normed(columns(0, dim), 'qNorm'), numHeads);
  const k = turned(normed(columns(dim, dim + kvDim), 'kNorm'), numKvHeads);
  return attention64(q, k, columns(dim + kvDim, width), { batchSize: qkv.length / (seqLen * width), seqLen, kvLen: seqLen, numHeads, numKvHeads, headDim, causal });
}

/** Rotary positions from 0 on `b t h d`: channels i and i + d/2 are a pair that turns by t · 10000^(−2i/d). */
function rotary64(z: Float64Array, seqLen: number, heads: number, headDim: number): Float64Array {
  const half = headDim / 2;
  return z.map((value, at) => {
    const [c, t] = [at % headDim, Math.floor(at / (headDim * heads)) % seqLen];
    const angle = t * 10000 ** ((-2 * (c % half)) / headDim);
    return value * Math.cos(angle) + (c < half ? -z[at + half]! : z[at - half]!) * Math.sin(angle);
  });
}

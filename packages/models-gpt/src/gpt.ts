import { add, reshape, slice, tidy, type Tensor, type Tensor1D, type Tensor2D, type Tensor3D } from '@tensorflow/tfjs-core';
import {
  checkDtype, checkRank, ConfigError, foldSeed, initParams, normal, rematerialise, ShapeError,
  type ApplyOptions, type AttentionFn, type Initialiser, type Layer, type LinearFactory, type MlpFactory, type NormFactory, type Params,
  type ParamSpec, type Seed, type Tree,
} from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionPacked } from '@evenkeel/flash-attention';
import { crossEntropy, dropout, embedding, initialiserOfLayers, linear, linearLayer, mlpLayer, transformerBlock, type KvCache, type Placement, type TransformerBlock } from '@evenkeel/layers';
import { layerNormLayer } from '@evenkeel/norms';
import { gptConfig, type GptConfig, type GptSizes } from './gptConfig.ts';

/** GptTechniques — the parts that can be exchanged, each with GPT-2's own as its default. */
export type GptTechniques = {
  norm?: NormFactory;
  linear?: LinearFactory;
  attention?: AttentionFn;
  mlp?: MlpFactory;
  placement?: Placement;
  /** Recompute each block in the backward pass instead of keeping its activations. Default false. */
  rematerialise?: boolean;
};

/** GptParams — the trained values by name; `blocks` holds one subtree per transformer block. */
export type GptParams = {
  readonly tokenEmbedding: { readonly weight: Tensor2D };
  readonly positionEmbedding: { readonly weight: Tensor2D };
  readonly blocks: readonly Tree<Tensor>[];
  readonly norm: Tree<Tensor>;
  readonly head?: { readonly weight: Tensor2D };
};

export type Gpt = {
  readonly config: GptConfig;
  /** Names of the techniques that were given in place of GPT-2's own: what a GPT-2 checkpoint cannot say. */
  readonly departures: readonly string[];
  readonly specs: Tree<ParamSpec>;
  /** Fresh parameters, each from its own seed. Free them with `tf.dispose`. */
  init(options: { seed: Seed }): Params & GptParams;
  /** Token ids `b t` (int32) to logits `b t v`. */
  apply(tokens: Tensor2D, params: GptParams, options?: ApplyOptions): Tensor3D;
  /** Mean cross-entropy in nats of `targets: b t` under the model. */
  loss(batch: { inputs: Tensor2D; targets: Tensor2D }, params: GptParams, options?: ApplyOptions): Tensor;
  /** One step of generation: the logits `v` after the last of `tokens: 1 t`, and the grown cache. Both are the caller's. */
  decode(tokens: Tensor2D, params: GptParams, cache: GptCache | null): { logits: Tensor1D; cache: GptCache };
};

/** GptCache — keys and values of every block, `b s g d`, for the first `length` positions. */
export type GptCache = { readonly length: number; readonly blocks: readonly KvCache[] };

/**
 * gpt — a decoder-only transformer in GPT-2's layout: learned positions, pre-norm blocks, final norm, tied head.
 *
 * @param options  sizes (see GptConfig) and techniques; everything but the five sizes has GPT-2's default.
 * @returns        a frozen record of functions; it holds no tensors.
 * @throws ConfigError  if the sizes do not fit each other.
 *
 * Source: Radford et al. 2019, "Language models are unsupervised multitask learners"; initialisation as published with it.
 */
export function gpt(options: GptSizes & GptTechniques): Gpt {
  const config = gptConfig(options);
  const blocks = makeBlocks(config, options);
  const finalNorm = (options.norm ?? layerNormLayer({ eps: config.normEps, bias: config.bias }))(config.dim);
  const specs = gptSpecs(config, blocks, finalNorm.specs);
  const applyBlock = blocks.map((block) => (x: Tensor, params: Tree<Tensor>, call: ApplyOptions): Tensor =>
    options.rematerialise ? rematerialise((h: Tensor, p: Tree<Tensor>) => block.apply(h, p, call))(x, params) : block.apply(x, params, call));

  const embed = (tokens: Tensor2D, params: GptParams, start: number): Tensor => {
    const length = tokens.shape[1];
    if (start + length > config.contextLength) {
      throw new ShapeError(`gpt: tokens must be at most ${config.contextLength} positions long, got ${start + length}`);
    }
    const positions = slice(params.positionEmbedding.weight, [start, 0], [length, config.dim]); // t c
    return add(embedding(tokens, params.tokenEmbedding), positions); // b t c
  };
  const toLogits = (x: Tensor, params: GptParams): Tensor => {
    const head = params.head ?? params.tokenEmbedding;
    return linear(finalNorm.apply(x, params.norm), { weight: head.weight }); // b t v
  };

  const apply: Gpt['apply'] = (tokens, params, call = {}) => tidy('gpt', () => {
    checkTokens(tokens);
    const { train = false, seed } = call;
    const embedded = embed(tokens, params, 0);
    const start = train && config.dropout > 0
      ? dropout(embedded, { rate: config.dropout, seed: foldSeed(requiredSeed(seed), 'embedding'), train })
      : embedded;
    const x = applyBlock.reduce<Tensor>((h, block, i) => block(h, params.blocks[i] as Tree<Tensor>, call), start);
    return toLogits(x, params) as Tensor3D;
  });

  return Object.freeze({
    config,
    departures: departuresOf(options),
    specs,
    init: ({ seed }) => initParams(specs, seed, initialiserFor(blocks, finalNorm)) as Params & GptParams,
    apply,
    loss: ({ inputs, targets }, params, call) => tidy('gptLoss', () => crossEntropy(apply(inputs, params, call), targets)),
    decode: (tokens, params, cache) => tidy('gptDecode', () => {
      checkTokens(tokens);
      const start = cache?.length ?? 0;
      let x = embed(tokens, params, start);
      const grown = blocks.map((block, i) => {
        const next = block.applyCached(x, params.blocks[i] as Tree<Tensor>, cache?.blocks[i] ?? null);
        x = next.y;
        return next.cache;
      });
      const length = tokens.shape[1];
      const last = slice(x, [0, length - 1, 0], [1, 1, config.dim]); // 1 1 c
      return { logits: reshape(toLogits(last, params), [config.vocabSize]) as Tensor1D, cache: { length: start + length, blocks: grown } };
    }),
  } satisfies Gpt);
}

function makeBlocks(config: GptConfig, techniques: GptTechniques): TransformerBlock[] {
  const { dim, numHeads, numKvHeads, depth, bias, dropout: rate, hiddenDim, activation, normEps } = config;
  return Array.from({ length: depth }, (_, block) => transformerBlock({
    dim, numHeads, numKvHeads, depth, block, dropout: rate, causal: true,
    norm: techniques.norm ?? layerNormLayer({ eps: normEps, bias }),
    linear: techniques.linear ?? linearLayer({ bias }),
    attention: techniques.attention ?? attentionWithDropout(rate),
    mlp: techniques.mlp ?? mlpLayer({ hiddenDim, activation }),
    placement: techniques.placement ?? 'pre',
  }));
}

/** GPT-2 drops attention weights at the rate at which it drops everything else. */
function attentionWithDropout(dropout: number): AttentionFn {
  const attention: AttentionFn = (q, k, v, call) => flashAttention(q, k, v, { ...call, dropout });
  return Object.assign(attention, { packed: ((qkv, call) => flashAttentionPacked(qkv, { ...call, dropout })) satisfies AttentionFn['packed'] });
}

function departuresOf({ norm, linear: linearOption, attention, mlp, placement = 'pre' }: GptTechniques): string[] {
  const given = { norm, linear: linearOption, attention: attention === flashAttention ? undefined : attention, mlp, placement: placement === 'pre' ? undefined : placement };
  return Object.entries(given).flatMap(([name, technique]) => (technique === undefined ? [] : [name]));
}

function gptSpecs(config: GptConfig, blocks: readonly TransformerBlock[], norm: Tree<ParamSpec>): Tree<ParamSpec> {
  const { vocabSize, contextLength, dim, tiedHead } = config;
  const tokenEmbedding = { weight: { shape: [vocabSize, dim], axes: 'vocab dim', role: 'embedding' } } as const;
  const positionEmbedding = { weight: { shape: [contextLength, dim], axes: 'position dim', role: 'embedding' } } as const;
  const head = { weight: { shape: [vocabSize, dim], axes: 'out in', role: 'head', fanIn: dim } } as const;
  const specs = { tokenEmbedding, positionEmbedding, blocks: blocks.map((block) => block.specs), norm };
  return tiedHead ? specs : { ...specs, head };
}

/** Embeddings and head start as N(0, 0.02²); every other parameter as its layer says. */
function initialiserFor(blocks: readonly TransformerBlock[], norm: Layer) {
  const ofLayers = initialiserOfLayers({ blocks: Object.fromEntries(blocks.entries()), norm });
  return (spec: ParamSpec, path: string): Initialiser => (/^(blocks|norm)\./.test(path) ? ofLayers(spec, path) : normal({ std: 0.02 }));
}

function checkTokens(tokens: Tensor2D): void {
  checkRank('gpt', 'tokens', tokens, 2);
  checkDtype('gpt', 'tokens', tokens, 'int32');
}

function requiredSeed(seed: Seed | undefined): Seed {
  if (seed === undefined) throw new ConfigError('gpt: seed must be given when training with dropout, got undefined');
  return seed;
}

import { add, mul, reshape, slice, tidy, type Tensor, type Tensor1D, type Tensor2D, type Tensor3D } from '@tensorflow/tfjs-core';
import {
  checkDtype, checkFunction, checkRange, checkRank, ConfigError, foldSeed, initParams, normal, partOptions, rematerialise, ShapeError,
  type ApplyOptions, type AttentionFn, type Initialiser, type Layer, type LayerState, type LinearFactory, type MlpFactory, type NormFactory, type Params,
  type ParamSpec, type Seed, type Tree,
} from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionPacked } from '@evenkeel/flash-attention';
import {
  crossEntropy, dropout, embedding, initialiserOfLayers, linear, linearLayer, mlpLayer, placementRule, stateOfLayers, transformerBlock,
  type KvCache, type LayerTree, type Placement, type TransformerBlock,
} from '@evenkeel/layers';
import { layerNormLayer } from '@evenkeel/norms';
import { gptConfig, type GptConfig, type GptSizes } from './gptConfig.ts';

/** GptTechniques — the parts that can be exchanged, each with GPT-2's own as its default. */
export type GptTechniques = {
  norm?: NormFactory;
  linear?: LinearFactory;
  attention?: AttentionFn;
  mlp?: MlpFactory;
  placement?: Placement;
  /** Norms of queries and keys, per head: `qkNorm()` of @evenkeel/norms. Default none. */
  qkNorm?: NormFactory;
  /** Norm of the embedded tokens, before the first block. Default none. */
  embeddingNorm?: NormFactory;
  /** The map from the last channels to the logits; default `linearLayer({ bias: false })`. Only without `tiedHead`. */
  head?: LinearFactory;
  /** Factor of lse² in the training loss, which keeps logits from drifting; 1e-4 is usual. Default 0. */
  zLoss?: number;
  /** Recompute each block in the backward pass instead of keeping its activations. Default false. */
  rematerialise?: boolean;
};

/** GptParams — the trained values by name; `blocks` holds one subtree per transformer block. */
export type GptParams = {
  readonly tokenEmbedding: { readonly weight: Tensor2D };
  readonly positionEmbedding: { readonly weight: Tensor2D };
  readonly embeddingNorm?: Tree<Tensor>;
  readonly blocks: readonly Tree<Tensor>[];
  /** Absent where the placement has no norm before the head. */
  readonly norm?: Tree<Tensor>;
  /** Absent where the token embedding is the head. */
  readonly head?: Tree<Tensor>;
};

export type Gpt = {
  readonly config: GptConfig;
  /** Names of the techniques that were given in place of GPT-2's own: what a GPT-2 checkpoint cannot say. */
  readonly departures: readonly string[];
  readonly specs: Tree<ParamSpec>;
  /** Fresh parameters, each from its own seed. Free them with `tf.dispose`. */
  init(options: { seed: Seed }): Params & GptParams;
  /** Untrained values of its layers, such as the vectors of a power iteration: for `train({ state })`. Empty if no layer has any. */
  readonly state: LayerState;
  /** Token ids `b t` (int32) to logits `b t v`. Observed: `embedding`, `blocks.0.…` (see transformerBlock), `logits`. */
  apply(tokens: Tensor2D, params: GptParams, options?: ApplyOptions): Tensor3D;
  /** Mean cross-entropy in nats of `targets: b t` under the model; where `train` is set, with the z-loss. */
  loss(batch: { inputs: Tensor2D; targets: Tensor2D }, params: GptParams, options?: ApplyOptions): Tensor;
  /** One step of generation: the logits `v` after the last of `tokens: 1 t`, and the grown cache. Both are the caller's. */
  decode(tokens: Tensor2D, params: GptParams, cache: GptCache | null, options?: ApplyOptions): { logits: Tensor1D; cache: GptCache };
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
  const { zLoss = 0 } = options;
  checkRange('gpt', 'zLoss', zLoss, 0, Number.MAX_VALUE);
  checkTechniques(options);
  const layers = makeLayers(config, options);
  const { blocks } = layers;
  const tree: LayerTree = { ...(layers.embeddingNorm && { embeddingNorm: layers.embeddingNorm }), blocks: Object.fromEntries(blocks.entries()), ...(layers.norm && { norm: layers.norm }), ...(layers.head && { head: layers.head }) };
  const specs = gptSpecs(config, layers);
  const applyBlock = blocks.map((block) => (x: Tensor, params: Tree<Tensor>, call: ApplyOptions): Tensor =>
    options.rematerialise ? rematerialise((h: Tensor, p: Tree<Tensor>) => block.apply(h, p, call))(x, params) : block.apply(x, params, call));

  const embed = (tokens: Tensor2D, params: GptParams, start: number, call: ApplyOptions): Tensor => {
    const length = tokens.shape[1];
    if (start + length > config.contextLength) {
      throw new ShapeError(`gpt: tokens must be at most ${config.contextLength} positions long, got ${start + length}`);
    }
    const positions = slice(params.positionEmbedding.weight, [start, 0], [length, config.dim]); // t c
    const embedded = add(embedding(tokens, params.tokenEmbedding), positions); // b t c
    return layers.embeddingNorm?.apply(embedded, params.embeddingNorm as Tree<Tensor>, partOptions(call, 'embeddingNorm')) ?? embedded;
  };
  const toLogits = (x: Tensor, params: GptParams, call: ApplyOptions): Tensor => {
    const normed = layers.norm === undefined ? x : layers.norm.apply(x, params.norm as Tree<Tensor>, partOptions(call, 'norm'));
    const logits = layers.head === undefined
      ? linear(normed, params.tokenEmbedding, { scale: config.logitScale })
      : scaled(layers.head.apply(normed, params.head as Tree<Tensor>, partOptions(call, 'head')), config.logitScale);
    call.observe?.('logits', logits);
    return logits; // b t v
  };

  const apply: Gpt['apply'] = (tokens, params, call = {}) => tidy('gpt', () => {
    checkTokens(tokens);
    const { train = false, seed } = call;
    const embedded = embed(tokens, params, 0, call);
    const start = train && config.dropout > 0
      ? dropout(embedded, { rate: config.dropout, seed: foldSeed(requiredSeed(seed), 'embedding'), train })
      : embedded;
    call.observe?.('embedding', start);
    const x = applyBlock.reduce<Tensor>((h, block, i) => block(h, params.blocks[i] as Tree<Tensor>, partOptions(call, 'blocks', i)), start);
    return toLogits(x, params, call) as Tensor3D;
  });

  return Object.freeze({
    config,
    departures: departuresOf(options),
    specs,
    init: ({ seed }) => initParams(specs, seed, initialiserFor(tree)) as Params & GptParams,
    state: stateOfLayers(tree).state ?? NO_STATE,
    apply,
    loss: ({ inputs, targets }, params, call = {}) =>
      tidy('gptLoss', () => crossEntropy(apply(inputs, params, call), targets, { zLoss: call.train === true ? zLoss : 0 })),
    decode: (tokens, params, cache, call = {}) => tidy('gptDecode', () => {
      checkTokens(tokens);
      const start = cache?.length ?? 0;
      let x = embed(tokens, params, start, call);
      const grown = blocks.map((block, i) => {
        const next = block.applyCached(x, params.blocks[i] as Tree<Tensor>, cache?.blocks[i] ?? null, partOptions(call, 'blocks', i));
        x = next.y;
        return next.cache;
      });
      const length = tokens.shape[1];
      const last = slice(x, [0, length - 1, 0], [1, 1, config.dim]); // 1 1 c
      return { logits: reshape(toLogits(last, params, call), [config.vocabSize]) as Tensor1D, cache: { length: start + length, blocks: grown } };
    }),
  } satisfies Gpt);
}

const scaled = (logits: Tensor, scale: number): Tensor => (scale === 1 ? logits : mul(logits, scale));

const NO_STATE: LayerState = { init: () => ({}), update: () => {} };

type GptLayers = { readonly embeddingNorm?: Layer; readonly blocks: readonly TransformerBlock[]; readonly norm?: Layer; readonly head?: Layer };

function makeLayers(config: GptConfig, techniques: GptTechniques): GptLayers {
  const { dim, vocabSize, bias, normEps, tiedHead } = config;
  if (tiedHead && techniques.head !== undefined) throw new ConfigError('gpt: head must be left out with tiedHead, got both');
  const norm = techniques.norm ?? layerNormLayer({ eps: normEps, bias });
  const { final = false } = placementRule('gpt', techniques.placement ?? 'pre');
  const head = techniques.head ?? linearLayer({ bias: false });
  return {
    ...(techniques.embeddingNorm && { embeddingNorm: techniques.embeddingNorm(dim) }),
    blocks: makeBlocks(config, techniques, norm),
    ...(final && { norm: norm(dim) }),
    ...(!tiedHead && { head: head(dim, vocabSize, { role: 'head', outAxis: 'vocab', inAxis: 'dim' }) }),
  };
}

/** What each technique that is a function looks like. */
const FACTORIES = {
  norm: 'layerNormLayer()', linear: 'linearLayer()', attention: 'flashAttention', mlp: 'mlpLayer()', qkNorm: 'qkNorm()', embeddingNorm: 'rmsNormLayer()', head: 'linearLayer()',
} as const satisfies { [name in keyof GptTechniques]: string };

function checkTechniques(techniques: GptTechniques): void {
  for (const [name, help] of Object.entries(FACTORIES) as [keyof typeof FACTORIES, string][]) {
    if (techniques[name] !== undefined) checkFunction('gpt', name, techniques[name], help);
  }
}

function makeBlocks(config: GptConfig, techniques: GptTechniques, norm: NormFactory): TransformerBlock[] {
  const { dim, numHeads, numKvHeads, depth, bias, dropout: rate, hiddenDim, activation } = config;
  return Array.from({ length: depth }, (_, block) => transformerBlock({
    dim, numHeads, numKvHeads, depth, block, dropout: rate, causal: true,
    norm, qkNorm: techniques.qkNorm,
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

function departuresOf(techniques: GptTechniques & Partial<GptConfig>): string[] {
  const { norm, linear: linearOption, attention, mlp, placement = 'pre', qkNorm, embeddingNorm, head, logitScale = 1 } = techniques;
  const given = {
    norm, qkNorm, embeddingNorm, head, linear: linearOption, mlp,
    attention: attention === flashAttention ? undefined : attention, placement: placement === 'pre' ? undefined : placement,
    logitScale: logitScale === 1 ? undefined : logitScale,
  };
  return Object.entries(given).flatMap(([name, technique]) => (technique === undefined ? [] : [name]));
}

function gptSpecs({ vocabSize, contextLength, dim }: GptConfig, { embeddingNorm, blocks, norm, head }: GptLayers): Tree<ParamSpec> {
  const tokenEmbedding = { weight: { shape: [vocabSize, dim], axes: 'vocab dim', role: 'embedding' } } as const;
  const positionEmbedding = { weight: { shape: [contextLength, dim], axes: 'position dim', role: 'embedding' } } as const;
  return {
    tokenEmbedding, positionEmbedding, ...(embeddingNorm && { embeddingNorm: embeddingNorm.specs }), blocks: blocks.map((block) => block.specs),
    ...(norm && { norm: norm.specs }), ...(head && { head: head.specs }),
  };
}

/** Embeddings start as N(0, 0.02²); every other parameter as its layer says. */
function initialiserFor(layers: LayerTree) {
  const ofLayers = initialiserOfLayers(layers);
  return (spec: ParamSpec, path: string): Initialiser => (spec.role === 'embedding' ? normal({ std: 0.02 }) : ofLayers(spec, path));
}

function checkTokens(tokens: Tensor2D): void {
  checkRank('gpt', 'tokens', tokens, 2);
  checkDtype('gpt', 'tokens', tokens, 'int32');
}

function requiredSeed(seed: Seed | undefined): Seed {
  if (seed === undefined) throw new ConfigError('gpt: seed must be given when training with dropout, got undefined');
  return seed;
}

import { add, mul, reshape, slice, tidy, type Tensor, type Tensor1D, type Tensor2D, type Tensor3D } from '@tensorflow/tfjs-core';
import {
  checkDtype, checkRange, checkRank, ConfigError, foldSeed, partOptions, ShapeError,
  type ApplyOptions, type AttentionFn, type Layer, type LinearFactory, type NormFactory, type Seed, type Tree,
} from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionPacked } from '@evenkeel/flash-attention';
import {
  checkTechniques, crossEntropy, departuresOf, dropout, embeddingLayer, linear, linearLayer, mlpLayer, modelOfLayers, stackTechniques, transformerStack,
  type KvCache, type LayeredModel, type StackParams, type StackTechniques, type TransformerStack,
} from '@evenkeel/layers';
import { layerNormLayer } from '@evenkeel/norms';
import { gptConfig, type GptConfig, type GptSizes } from './gptConfig.ts';

/** GptTechniques — the parts that can be exchanged, each with GPT-2's own as its default. */
export type GptTechniques = StackTechniques & {
  /** Norm of the embedded tokens, before the first block. Default none. */
  embeddingNorm?: NormFactory;
  /** The map from the last channels to the logits; default `linearLayer({ bias: false })`. Only without `tiedHead`. */
  head?: LinearFactory;
  /** Factor of lse² in the training loss, which keeps logits from drifting; 1e-4 is usual. Default 0. */
  zLoss?: number;
};

/** GptParams — the trained values by name; `blocks` holds one subtree per transformer block. */
export type GptParams = StackParams & {
  readonly tokenEmbedding: { readonly weight: Tensor2D };
  readonly positionEmbedding: { readonly weight: Tensor2D };
  readonly embeddingNorm?: Tree<Tensor>;
  /** Absent where the token embedding is the head. */
  readonly head?: Tree<Tensor>;
};

export type Gpt = LayeredModel<GptParams> & {
  readonly config: GptConfig;
  /** Names of the techniques that were given in place of GPT-2's own: what a GPT-2 checkpoint cannot say. */
  readonly departures: readonly string[];
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
  checkTechniques('gpt', options, { embeddingNorm: 'rmsNormLayer()', head: 'linearLayer()' });
  const stack = makeStack(config, options);
  const layers = makeLayers(config, options, stack);

  const embed = (tokens: Tensor2D, params: GptParams, start: number, call: ApplyOptions): Tensor => {
    const length = tokens.shape[1];
    if (start + length > config.contextLength) {
      throw new ShapeError(`gpt: tokens must be at most ${config.contextLength} positions long, got ${start + length}`);
    }
    const positions = slice(params.positionEmbedding.weight, [start, 0], [length, config.dim]); // t c
    const embedded = add(layers.tokenEmbedding.apply(tokens, params.tokenEmbedding), positions); // b t c
    return layers.embeddingNorm?.apply(embedded, params.embeddingNorm as Tree<Tensor>, partOptions(call, 'embeddingNorm')) ?? embedded;
  };
  const toLogits = (x: Tensor, params: GptParams, call: ApplyOptions): Tensor => {
    const logits = layers.head === undefined
      ? linear(x, params.tokenEmbedding, { scale: config.logitScale })
      : scaled(layers.head.apply(x, params.head as Tree<Tensor>, partOptions(call, 'head')), config.logitScale);
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
    return toLogits(stack.apply(start, params, call), params, call) as Tensor3D;
  });

  return Object.freeze({
    config,
    departures: departuresOf(techniquesIn(options), { placement: 'pre', attention: flashAttention, logitScale: 1 }),
    ...modelOfLayers<GptParams>(layers),
    apply,
    loss: ({ inputs, targets }, params, call = {}) =>
      tidy('gptLoss', () => crossEntropy(apply(inputs, params, call), targets, { zLoss: call.train === true ? zLoss : 0 })),
    decode: (tokens, params, cache, call = {}) => tidy('gptDecode', () => {
      checkTokens(tokens);
      const start = cache?.length ?? 0;
      const { y, cache: blocks } = stack.applyCached(embed(tokens, params, start, call), params, cache?.blocks ?? null, call);
      const length = tokens.shape[1];
      const last = slice(y, [0, length - 1, 0], [1, 1, config.dim]); // 1 1 c
      return { logits: reshape(toLogits(last, params, call), [config.vocabSize]) as Tensor1D, cache: { length: start + length, blocks } };
    }),
  } satisfies Gpt);
}

const scaled = (logits: Tensor, scale: number): Tensor => (scale === 1 ? logits : mul(logits, scale));

type GptLayers = TransformerStack['layers'] & {
  readonly tokenEmbedding: Layer; readonly positionEmbedding: Layer; readonly embeddingNorm?: Layer; readonly head?: Layer;
};

function makeLayers({ dim, vocabSize, contextLength, tiedHead }: GptConfig, { embeddingNorm, head }: GptTechniques, stack: TransformerStack): GptLayers {
  if (tiedHead && head !== undefined) throw new ConfigError('gpt: head must be left out with tiedHead, got both');
  const makeHead = head ?? linearLayer({ bias: false });
  return {
    tokenEmbedding: embeddingLayer(vocabSize, dim),
    positionEmbedding: embeddingLayer(contextLength, dim, { axis: 'position' }),
    ...(embeddingNorm && { embeddingNorm: embeddingNorm(dim) }),
    ...stack.layers,
    ...(!tiedHead && { head: makeHead(dim, vocabSize, { role: 'head', outAxis: 'vocab', inAxis: 'dim' }) }),
  };
}

function makeStack({ dim, numHeads, numKvHeads, depth, bias, normEps, dropout: rate, hiddenDim, activation }: GptConfig, techniques: GptTechniques): TransformerStack {
  return transformerStack({
    dim, numHeads, numKvHeads, depth, dropout: rate, causal: true,
    ...stackTechniques(techniques, {
      norm: layerNormLayer({ eps: normEps, bias }), linear: linearLayer({ bias }), attention: attentionWithDropout(rate), mlp: mlpLayer({ hiddenDim, activation }),
    }),
  });
}

/** GPT-2 drops attention weights at the rate at which it drops everything else. */
function attentionWithDropout(dropout: number): AttentionFn {
  const attention: AttentionFn = (q, k, v, call) => flashAttention(q, k, v, { ...call, dropout });
  return Object.assign(attention, { packed: ((qkv, call) => flashAttentionPacked(qkv, { ...call, dropout })) satisfies AttentionFn['packed'] });
}

/** The options that change what is computed and are no sizes. */
function techniquesIn({ embeddingNorm, head, logitScale, ...techniques }: GptTechniques & Partial<GptConfig>) {
  return { ...stackTechniques(techniques), embeddingNorm, head, logitScale };
}

function checkTokens(tokens: Tensor2D): void {
  checkRank('gpt', 'tokens', tokens, 2);
  checkDtype('gpt', 'tokens', tokens, 'int32');
}

function requiredSeed(seed: Seed | undefined): Seed {
  if (seed === undefined) throw new ConfigError('gpt: seed must be given when training with dropout, got undefined');
  return seed;
}

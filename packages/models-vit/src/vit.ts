import { add, broadcastTo, concat, mul, reshape, slice, tidy, type Tensor, type Tensor2D, type Tensor3D, type Tensor4D } from '@tensorflow/tfjs-core';
import {
  checkDtype, checkLastDim, checkRank, ConfigError, foldSeed, partOptions, truncatedNormal, type ApplyOptions, type Layer, type LinearFactory, type NormFactory, type Tree,
} from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import {
  checkTechniques, departuresOf, dropout, embeddingLayer, linearLayer, mlpLayer, modelOfLayers, patchRows, resizePositions, stackTechniques, transformerStack,
  type LayeredModel, type StackParams, type StackTechniques, type TransformerStack,
} from '@evenkeel/layers';
import { layerNormLayer } from '@evenkeel/norms';
import { targetCrossEntropy } from './targetCrossEntropy.ts';
import { prefixTokens, vitConfig, type VitConfig, type VitSizes } from './vitConfig.ts';

/** VitTechniques — the parts that can be exchanged, each with ViT's own as its default. */
export type VitTechniques = StackTechniques & {
  /** Norm of the embedded tokens, before the first block. Default none. */
  embeddingNorm?: NormFactory;
  /** The maps from the tokens to the logits; default `linearLayer()`. */
  head?: LinearFactory;
};

type Rows = { readonly weight: Tensor2D };

/** VitParams — the trained values by name; `blocks` holds one subtree per transformer block. */
export type VitParams = StackParams & {
  /** `weight: c (p · p · channels)`, as a linear map of `patchRows`. */
  readonly patchEmbedding: Tree<Tensor>;
  readonly classToken: Rows;
  /** Only where the model is distilled, as is its head. */
  readonly distillationToken?: Rows;
  /** `weight: (1|2 + patches) c`: class token, distillation token, patches row by row. */
  readonly positionEmbedding: Rows;
  readonly embeddingNorm?: Tree<Tensor>;
  readonly head: Tree<Tensor>;
  readonly distillationHead?: Tree<Tensor>;
};

/** VitLogits — `cls: b n`, of the class token; `dist: b n`, of the distillation token, if there is one. */
export type VitLogits = { readonly cls: Tensor2D; readonly dist?: Tensor2D };

/** VitBatch — `images: b h w channels`; `targets`: classes `b` (int32), or how probable each is, `b n` (float32). */
export type VitBatch = { readonly images: Tensor4D; readonly targets: Tensor };

export type Vit = LayeredModel<VitParams> & {
  readonly config: VitConfig;
  /** Names of the techniques that were given in place of ViT's own: what a ViT checkpoint cannot say. */
  readonly departures: readonly string[];
  /** Images `b h w channels` to logits `b n`: of a distilled model the mean of both heads. Observed: see `heads`. */
  apply(images: Tensor4D, params: VitParams, options?: ApplyOptions): Tensor2D;
  /** The logits of each head. Observed: `embedding`, `blocks.0.…` (see transformerBlock), `class` and `distillation` (`b c`, before the heads). */
  heads(images: Tensor4D, params: VitParams, options?: ApplyOptions): VitLogits;
  /** All tokens after the last norm, `b t c`: class token, distillation token, patches row by row. */
  tokens(images: Tensor4D, params: VitParams, options?: ApplyOptions): Tensor3D;
  /** Mean cross-entropy in nats of the targets; of a distilled model, of both heads, a half each (see `distillationLoss` for a teacher). */
  loss(batch: VitBatch, params: VitParams, options?: ApplyOptions): Tensor;
};

/**
 * vit — a vision transformer: patches as tokens, a class token, learned positions, pre-norm blocks, final norm, a linear head.
 *
 * Images may have another size than the positions were learned for, if patches fit: positions are then resized (see `resizePositions`).
 *
 * @param options  sizes (see VitConfig) and techniques; everything but the six sizes has ViT's default.
 * @returns        a frozen record of functions; it holds no tensors.
 * @throws ConfigError  if the sizes do not fit each other.
 *
 * Source: Dosovitskiy et al. 2020, arXiv:2010.11929, §3.1; distilled: Touvron et al. 2020, arXiv:2012.12877, §4. Initialisation as in timm.
 */
export function vit(options: VitSizes & VitTechniques): Vit {
  const config = vitConfig(options);
  checkTechniques('vit', options, { embeddingNorm: 'rmsNormLayer()', head: 'linearLayer()' });
  const stack = makeStack(config, options);
  const layers = makeLayers(config, options, stack);

  const tokens: Vit['tokens'] = (images, params, call = {}) => tidy('vitTokens', () => {
    const rows = patchRows(checkedImages(images, config), config.patchSize);
    const patches = layers.patchEmbedding.apply(rows, params.patchEmbedding, partOptions(call, 'patchEmbedding')); // b p c
    const prefix = [params.classToken, ...(params.distillationToken ? [params.distillationToken] : [])].map(({ weight }) => broadcastTo(reshape(weight, [1, 1, config.dim]), [images.shape[0], 1, config.dim]));
    const embedded = add(concat([...prefix, patches], 1), positionsFor(images, params, config)); // b t c
    const normed = layers.embeddingNorm?.apply(embedded, params.embeddingNorm as Tree<Tensor>, partOptions(call, 'embeddingNorm')) ?? embedded;
    const start = dropped(normed, config.dropout, call);
    call.observe?.('embedding', start);
    return stack.apply(start, params, call) as Tensor3D;
  });
  const heads: Vit['heads'] = (images, params, call = {}) => tidy('vitHeads', () => {
    const all = tokens(images, params, call);
    const logitsOf = (index: number, name: string, key: 'head' | 'distillationHead'): Tensor2D => {
      const token = reshape(slice(all, [0, index, 0], [-1, 1, -1]), [images.shape[0], config.dim]); // b c
      call.observe?.(name, token);
      return (layers[key] as Layer).apply(token, params[key] as Tree<Tensor>, partOptions(call, key)) as Tensor2D;
    };
    return { cls: logitsOf(0, 'class', 'head'), ...(config.distilled && { dist: logitsOf(1, 'distillation', 'distillationHead') }) };
  });

  return Object.freeze({
    config,
    departures: departuresOf({ ...stackTechniques(options), embeddingNorm: options.embeddingNorm, head: options.head }, { placement: 'pre', attention: flashAttention }),
    ...modelOfLayers<VitParams>(layers),
    tokens,
    heads,
    apply: (images, params, call = {}) => tidy('vit', () => {
      const { cls, dist } = heads(images, params, call);
      return dist === undefined ? cls : mul(add(cls, dist), 0.5) as Tensor2D;
    }),
    loss: ({ images, targets }, params, call = {}) => tidy('vitLoss', () => {
      const { cls, dist } = heads(images, params, call);
      const ofClass = targetCrossEntropy(cls, targets);
      return dist === undefined ? ofClass : mul(add(ofClass, targetCrossEntropy(dist, targets)), 0.5);
    }),
  } satisfies Vit);
}

const ROWS = truncatedNormal();

type VitLayers = TransformerStack['layers'] & {
  readonly patchEmbedding: Layer; readonly classToken: Layer; readonly distillationToken?: Layer; readonly positionEmbedding: Layer; readonly embeddingNorm?: Layer;
  readonly head: Layer; readonly distillationHead?: Layer;
};

function makeLayers(config: VitConfig, { embeddingNorm, head = ownLinear() }: VitTechniques, stack: TransformerStack): VitLayers {
  const { dim, imageSize, patchSize, channels, numClasses, distilled } = config;
  const token = (): Layer => embeddingLayer(1, dim, { axis: 'token', initialiser: ROWS });
  const makeHead = (): Layer => head(dim, numClasses, { role: 'head', outAxis: 'class', inAxis: 'dim' });
  return {
    patchEmbedding: ownLinear()(patchSize * patchSize * channels, dim, { role: 'embedding', outAxis: 'dim', inAxis: 'patch' }),
    classToken: token(),
    ...(distilled && { distillationToken: token() }),
    positionEmbedding: embeddingLayer((imageSize / patchSize) ** 2 + prefixTokens(config), dim, { axis: 'position', initialiser: ROWS }),
    ...(embeddingNorm && { embeddingNorm: embeddingNorm(dim) }),
    ...stack.layers,
    head: makeHead(),
    ...(distilled && { distillationHead: makeHead() }),
  };
}

/** ViT starts all its linear maps alike, also those into the residual stream. */
const ownLinear = (): LinearFactory => linearLayer({ initialiser: ROWS });

function makeStack({ dim, numHeads, depth, normEps, dropout: rate, hiddenDim, activation }: VitConfig, techniques: VitTechniques): TransformerStack {
  return transformerStack({
    dim, numHeads, depth, dropout: rate, causal: false,
    ...stackTechniques(techniques, {
      norm: layerNormLayer({ eps: normEps }), linear: ownLinear(), attention: flashAttention, mlp: mlpLayer({ hiddenDim, activation }),
    }),
  });
}

function checkedImages(images: Tensor4D, { channels }: VitConfig): Tensor4D {
  checkRank('vit', 'images', images, 4);
  checkDtype('vit', 'images', images, 'float32');
  checkLastDim('vit', 'images', images, channels);
  return images;
}

function positionsFor({ shape: [, height, width] }: Tensor4D, { positionEmbedding: { weight } }: VitParams, config: VitConfig): Tensor {
  const side = config.imageSize / config.patchSize;
  const to = [height / config.patchSize, width / config.patchSize] as const;
  return resizePositions(weight, { from: [side, side], to, prefix: prefixTokens(config) });
}

function dropped(x: Tensor, rate: number, { train = false, seed }: ApplyOptions): Tensor {
  if (!train || rate === 0) return x;
  if (seed === undefined) throw new ConfigError('vit: seed must be given when train is true and dropout acts, got undefined');
  return dropout(x, { rate, seed: foldSeed(seed, 'embedding'), train });
}

import { add, reshape, slice, tensor1d, tidy, type Tensor } from '@tensorflow/tfjs-core';
import {
  checkDtype, checkRank, checkShape, ConfigError, foldSeed, partOptions, ShapeError, type ApplyOptions, type Layer, type Tree,
} from '@evenkeel/core-tensor';
import {
  checkTechniques, departuresOf, dropout, embeddingLayer, linearLayer, mlpLayer, modelOfLayers, stackTechniques, transformerStack,
  type LayeredModel, type LayerTree, type PlacementRule, type StackParams, type StackTechniques, type TransformerStack,
} from '@evenkeel/layers';
import { layerNormLayer } from '@evenkeel/norms';
import { bertAttention } from './bertAttention.ts';
import { bertConfig, type BertConfig, type BertSizes } from './bertConfig.ts';

/** BertInputs — sequences of tokens, either padded to one length, `b t`, or one after another without padding, `n` with `cuSeqlens`. */
export type BertInputs = {
  /** Token ids, int32. */
  readonly ids: Tensor;
  /** Segment of each token, int32, shaped as `ids`; default 0. */
  readonly tokenTypes?: Tensor;
  /** Shaped as `ids`, bool or int32: 0 = padding. Only where sequences are padded; default no padding. */
  readonly mask?: Tensor;
  /** Where each sequence begins, and where the last one ends; see `unpadBatch`. */
  readonly cuSeqlens?: readonly number[];
};

/** BertParams — the trained values of an encoder by name. */
export type BertParams = StackParams & {
  readonly wordEmbedding: { readonly weight: Tensor };
  readonly typeEmbedding: { readonly weight: Tensor };
  /** Absent unless positions are learned. */
  readonly positionEmbedding?: { readonly weight: Tensor };
  readonly embeddingNorm: Tree<Tensor>;
};

/** Bert — an encoder without a head; see `bertWithHead`. */
export type Bert = LayeredModel<BertParams> & {
  readonly config: BertConfig;
  /** Names of the techniques that were given in place of BERT's own: what a BERT checkpoint cannot say. */
  readonly departures: readonly string[];
  /** To be spread into the layers of a model with a head. */
  readonly layers: LayerTree & object;
  /** The last channels of every token, shaped as `ids` and `c`. Observed: `embedding`, `blocks.0.…` (see transformerBlock). */
  apply(inputs: BertInputs, params: BertParams, options?: ApplyOptions): Tensor;
  /** Those of the tokens `rows: m` alone (int32, into all tokens in order), `m c`: the last block computes no others. */
  applyToRows(inputs: BertInputs, rows: Tensor, params: BertParams, options?: ApplyOptions): Tensor;
};

/** BERT's norms stand behind the sums, and unlike with the placement `post` all projections start at their full size. */
const OWN_PLACEMENT: PlacementRule = { sum: true };

/**
 * bert — a bidirectional encoder: word, position and segment embeddings, their norm and dropout, then post-norm blocks.
 *
 * Classic BERT by default; MosaicBERT with `positions: 'alibi'` and a gated MLP (see `mosaicBert`). Every technique of a stack is a value.
 *
 * @param options  sizes (see BertConfig) and techniques (see StackTechniques); everything but the four sizes has BERT's default.
 * @returns        a frozen record of functions; it holds no tensors.
 * @throws ConfigError  if the sizes do not fit each other, or an attention is given beside `alibi`.
 *
 * Sources: Devlin et al. 2018, arXiv:1810.04805; Portes et al. 2023, arXiv:2312.17482.
 */
export function bert(options: BertSizes & StackTechniques): Bert {
  const config = bertConfig(options);
  checkTechniques('bert', options);
  if (config.positions === 'alibi' && options.attention !== undefined) {
    throw new ConfigError("bert: attention must be left out with positions 'alibi', which are attention's, got both");
  }
  const stack = makeStack(config, options);
  const layers = makeLayers(config, options, stack);
  const embed = (inputs: BertInputs, params: BertParams, call: ApplyOptions): Tensor => {
    checkInputs(config, inputs);
    const { ids, tokenTypes, cuSeqlens } = inputs;
    const rows = (part: Tensor): Tensor => (cuSeqlens === undefined ? part : reshape(part, [1, ids.size, config.dim])); // b t c, or 1 n c
    const words = rows(layers.wordEmbedding.apply(ids, params.wordEmbedding));
    const types = tokenTypes === undefined ? slice(params.typeEmbedding.weight, [0, 0], [1, config.dim]) : rows(layers.typeEmbedding.apply(tokenTypes, params.typeEmbedding));
    const sum = add(words, types);
    const embedded = layers.positionEmbedding === undefined ? sum : add(sum, positionsOf(config, inputs, layers.positionEmbedding, params));
    const normed = layers.embeddingNorm.apply(embedded, params.embeddingNorm, partOptions(call, 'embeddingNorm'));
    const start = dropout(normed, { rate: config.dropout, train: call.train, ...(call.seed !== undefined && { seed: foldSeed(call.seed, 'embedding') }) });
    call.observe?.('embedding', start);
    return start;
  };
  const inStack = ({ mask, cuSeqlens }: BertInputs, call: ApplyOptions): ApplyOptions => ({ ...call, ...(mask && { keyPaddingMask: mask }), ...(cuSeqlens && { cuSeqlens }) });
  return Object.freeze({
    config,
    departures: departuresOf(techniquesIn(options), { placement: OWN_PLACEMENT, logitScale: 1 }),
    layers,
    ...modelOfLayers<BertParams>(layers),
    apply: (inputs, params, call = {}) => tidy('bert', () =>
      reshape(stack.apply(embed(inputs, params, call), params, inStack(inputs, call)), [...inputs.ids.shape, config.dim])),
    applyToRows: (inputs, rows, params, call = {}) => tidy('bert', () =>
      reshape(stack.applyToRows(embed(inputs, params, call), rows, params, inStack(inputs, call)), [rows.size, config.dim])),
  } satisfies Bert);
}

type BertLayers = TransformerStack['layers'] & {
  readonly wordEmbedding: Layer; readonly positionEmbedding?: Layer; readonly typeEmbedding: Layer; readonly embeddingNorm: Layer;
};

function makeLayers({ dim, paddedVocabSize, contextLength, typeVocabSize, positions, positionOffset, normEps }: BertConfig, { norm }: StackTechniques, stack: TransformerStack): BertLayers {
  return {
    wordEmbedding: embeddingLayer(paddedVocabSize, dim),
    ...(positions === 'learned' && { positionEmbedding: embeddingLayer(contextLength + positionOffset, dim, { axis: 'position' }) }),
    typeEmbedding: embeddingLayer(typeVocabSize, dim, { axis: 'type' }),
    embeddingNorm: (norm ?? layerNormLayer({ eps: normEps }))(dim),
    ...stack.layers,
  };
}

function makeStack(config: BertConfig, techniques: StackTechniques): TransformerStack {
  const { dim, numHeads, depth, normEps, dropout: rate, hiddenDim, activation } = config;
  return transformerStack({
    dim, numHeads, depth, dropout: rate, causal: false,
    ...stackTechniques(techniques, {
      norm: layerNormLayer({ eps: normEps }), linear: linearLayer(), attention: bertAttention(config), mlp: mlpLayer({ hiddenDim, activation }), placement: OWN_PLACEMENT,
    }),
  });
}

/** The options that change what is computed and are no sizes of BERT's. */
function techniquesIn({ positions, logitScale, ...techniques }: StackTechniques & Partial<BertConfig>) {
  const { placement, ...others } = stackTechniques(techniques);
  return {
    ...others, logitScale,
    placement: placement === 'post' ? undefined : placement, // differs only in how it starts
    positions: positions === 'learned' ? undefined : positions,
  };
}

/** `t c` for padded sequences, `1 n c` for those one after another. */
function positionsOf({ dim, contextLength, positionOffset }: BertConfig, { ids, cuSeqlens }: BertInputs, layer: Layer, params: BertParams): Tensor {
  const { weight } = params.positionEmbedding as { weight: Tensor };
  const longest = cuSeqlens === undefined ? (ids.shape[1] as number) : Math.max(...cuSeqlens.slice(1).map((end, i) => end - (cuSeqlens[i] as number)));
  if (longest > contextLength) throw new ShapeError(`bert: ids must be at most ${contextLength} positions long, got ${longest}`);
  if (cuSeqlens === undefined) return slice(weight, [positionOffset, 0], [longest, dim]);
  const index = cuSeqlens.slice(1).flatMap((end, i) => Array.from({ length: end - (cuSeqlens[i] as number) }, (_, j) => positionOffset + j));
  return reshape(layer.apply(tensor1d(index, 'int32'), { weight }), [1, index.length, dim]);
}

function checkInputs({ positions }: BertConfig, { ids, tokenTypes, mask, cuSeqlens }: BertInputs): void {
  checkRank('bert', 'ids', ids, cuSeqlens === undefined ? 2 : 1);
  checkDtype('bert', 'ids', ids, 'int32');
  if (tokenTypes !== undefined) {
    checkShape('bert', 'tokenTypes', tokenTypes, ids.shape);
    checkDtype('bert', 'tokenTypes', tokenTypes, 'int32');
  }
  if (mask !== undefined) checkShape('bert', 'mask', mask, ids.shape);
  if (mask !== undefined && cuSeqlens !== undefined) throw new ConfigError('bert: mask must be left out with cuSeqlens, where nothing is padding, got both');
  if (positions === 'learned' && cuSeqlens !== undefined && (cuSeqlens[0] !== 0 || cuSeqlens.at(-1) !== ids.size)) {
    throw new ConfigError(`bert: cuSeqlens must go from 0 to the ${ids.size} ids, got ${cuSeqlens[0]} to ${cuSeqlens.at(-1)}`);
  }
}

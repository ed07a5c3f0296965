import { reshape, slice, tanh, tensor1d, tidy, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { foldSeed, partOptions, type ApplyOptions, type Layer, type Tree } from '@evenkeel/core-tensor';
import { dropout, embedding, linearLayer, modelOfLayers, type LayeredModel, type LayerTree } from '@evenkeel/layers';
import type { Bert, BertInputs, BertParams } from './bert.ts';
import type { BertConfig } from './bertConfig.ts';

/** HeadContext — what a head is given besides its own parameters. */
export type HeadContext = {
  readonly config: BertConfig;
  readonly inputs: BertInputs;
  /** Of the whole model. */
  readonly params: HeadedParams;
  /** One of the head's layers, by name, with its parameters. */
  readonly through: (name: string, x: Tensor) => Tensor;
  /** The head's dropout, at the encoder's rate. */
  readonly drop: (x: Tensor, name: string) => Tensor;
};

/** BertHeadKind — what a head does: by it a checkpoint knows the names of its tensors. */
export type BertHeadKind = 'maskedLm' | 'preTraining' | 'classification' | 'regression' | 'tokenClassification' | 'span';

/**
 * BertHead — what makes something of an encoder's channels. `batch` is what one training step needs: the inputs and labels.
 */
export type BertHead<Out, Batch extends BertInputs> = {
  readonly kind: BertHeadKind;
  readonly layers: (config: BertConfig) => Readonly<Record<string, Layer>>;
  /** From the last channels of all tokens, shaped as the ids and `c`. */
  apply(hidden: Tensor, context: HeadContext): Out;
  /** The mean loss of a batch; it asks the encoder for the channels it needs. */
  loss(batch: Batch, encode: HeadEncoder, contextOf: (inputs: BertInputs) => HeadContext): Scalar;
};

/** HeadEncoder — the encoder with its parameters: all tokens, or the tokens `rows`. */
export type HeadEncoder = (inputs: BertInputs, rows?: Tensor) => Tensor;

/** HeadedParams — the encoder's parameters, and those of the head under `head`. */
export type HeadedParams = BertParams & { readonly head: Readonly<Record<string, Tree<Tensor>>> };

/** BertWithHead — an encoder with a head: a model to train. */
export type BertWithHead<Out, Batch extends BertInputs> = LayeredModel<HeadedParams> & {
  readonly encoder: Bert;
  /** The encoder's. */
  readonly config: BertConfig;
  readonly kind: BertHeadKind;
  apply(inputs: BertInputs, params: HeadedParams, options?: ApplyOptions): Out;
  /** Mean cross-entropy in nats of the batch's labels, or the head's own loss. */
  loss(batch: Batch, params: HeadedParams, options?: ApplyOptions): Scalar;
};

/**
 * bertWithHead — an encoder and a head as one model: `bertWithHead(bert({ … }), classificationHead({ numClasses: 2 }))`.
 *
 * @returns  a frozen record of functions; its parameters are the encoder's, and the head's under `head`.
 */
export function bertWithHead<Out extends Tensor | { readonly [name: string]: Tensor }, Batch extends BertInputs>(encoder: Bert, head: BertHead<Out, Batch>): BertWithHead<Out, Batch> {
  const own = head.layers(encoder.config);
  const contextOf = (params: HeadedParams, call: ApplyOptions) => (inputs: BertInputs): HeadContext => ({
    config: encoder.config, inputs, params,
    through: (name, x) => (own[name] as Layer).apply(x, params.head[name] as Tree<Tensor>, partOptions(call, 'head', name)),
    drop: (x, name) => dropout(x, { rate: encoder.config.dropout, train: call.train, ...(call.seed !== undefined && { seed: foldSeed(call.seed, 'head', name) }) }),
  });
  return Object.freeze({
    encoder,
    config: encoder.config,
    kind: head.kind,
    ...modelOfLayers<HeadedParams>({ ...encoder.layers, head: own } as LayerTree),
    apply: (inputs: BertInputs, params: HeadedParams, call: ApplyOptions = {}) =>
      tidy('bertWithHead', () => head.apply(encoder.apply(inputs, params, call), contextOf(params, call)(inputs))),
    loss: (batch: Batch, params: HeadedParams, call: ApplyOptions = {}) => tidy('bertLoss', () => head.loss(
      batch, (inputs, rows) => (rows === undefined ? encoder.apply(inputs, params, call) : encoder.applyToRows(inputs, rows, params, call)), contextOf(params, call))),
  });
}

/** poolerLayers — the layers of `pooled`. */
export const poolerLayers = ({ dim }: BertConfig) => ({ pooler: linearLayer()(dim, dim, { outAxis: 'hidden', inAxis: 'dim' }) });

/** pooled — tanh of a linear map of each sequence's first token, `b c`. */
export function pooled(hidden: Tensor, { inputs, through }: HeadContext): Tensor {
  return tanh(through('pooler', firstTokens(hidden, inputs)));
}

function firstTokens(hidden: Tensor, { cuSeqlens }: BertInputs): Tensor {
  const dim = hidden.shape[hidden.shape.length - 1] as number;
  if (cuSeqlens !== undefined) return embedding(tensor1d(cuSeqlens.slice(0, -1), 'int32'), { weight: hidden }); // b c
  const rows = hidden.shape[0] as number;
  return reshape(slice(hidden, [0, 0, 0], [rows, 1, dim]), [rows, dim]);
}

import { add, reshape, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { zeros, type Layer } from '@evenkeel/core-tensor';
import { crossEntropy, embedding, gelu, linear, linearLayer } from '@evenkeel/layers';
import { layerNormLayer } from '@evenkeel/norms';
import type { BertInputs } from './bert.ts';
import type { BertConfig } from './bertConfig.ts';
import { pooled, poolerLayers, type BertHead, type HeadContext } from './bertWithHead.ts';

/** MaskedLmBatch — masked tokens and what they were; with `rows`, the labels of these tokens alone, and the last block computes no others. */
export type MaskedLmBatch = BertInputs & {
  /** Shaped as `ids`, −100 where nothing is to be said; or `m`, one per row of `rows`. int32. */
  readonly labels: Tensor;
  /** `m`: which tokens were masked, int32, counted through all tokens of the batch. */
  readonly rows?: Tensor;
};

/** PreTrainingBatch — a batch of pairs: masked tokens, and per pair whether B follows A (0) or not (1). */
export type PreTrainingBatch = MaskedLmBatch & { readonly nextSentence: Tensor };

/** A free bias of the logits, beside the tied word embedding. */
const biasLayer = (size: number): Layer => ({
  specs: { bias: { shape: [size], axes: 'vocab', role: 'bias' } }, initialiserOf: () => zeros,
  apply: (x, params) => add(x, (params as { bias: Tensor }).bias),
});

const layersOf = ({ dim, paddedVocabSize, normEps }: BertConfig) => ({
  dense: linearLayer()(dim, dim, { outAxis: 'dim', inAxis: 'dim' }), norm: layerNormLayer({ eps: normEps })(dim), output: biasLayer(paddedVocabSize),
});

/** Of channels `... c`, the scores of all tokens of the padded vocabulary, `... v`. */
function logitsOf(hidden: Tensor, { config, params, through }: HeadContext): Tensor {
  const transformed = through('norm', gelu(through('dense', hidden)));
  return linear(transformed, { weight: params.wordEmbedding.weight, bias: (params.head['output'] as { bias: Tensor }).bias }, { scale: config.logitScale });
}

/**
 * maskedLmHead — which token stands at each place: a linear map, GELU and norm, then the word embedding transposed and a free bias.
 *
 * `apply` gives logits, shaped as the ids and `v` (the padded vocabulary). The loss is the mean over the labels that count.
 *
 * Source: Devlin et al. 2018, arXiv:1810.04805; the subset of rows in the last block: Portes et al. 2023, arXiv:2312.17482.
 */
export function maskedLmHead(): BertHead<Tensor, MaskedLmBatch> {
  return {
    kind: 'maskedLm',
    layers: layersOf,
    apply: logitsOf,
    loss: (batch, encode, contextOf) => crossEntropy(logitsOf(encode(batch, batch.rows), contextOf(batch)), batch.labels),
  };
}

/**
 * preTrainingHead — BERT's own pre-training: masked tokens, and whether the second segment follows the first.
 *
 * `apply` gives `{ tokens: … v, nextSentence: b 2 }`; the loss is the sum of both cross-entropies. It computes all tokens, also with `rows`.
 */
export function preTrainingHead(): BertHead<{ tokens: Tensor; nextSentence: Tensor }, PreTrainingBatch> {
  const follows = (hidden: Tensor, context: HeadContext): Tensor => context.through('nextSentence', pooled(hidden, context)); // b 2
  return {
    kind: 'preTraining',
    layers: (config) => ({ ...layersOf(config), ...poolerLayers(config), nextSentence: linearLayer()(config.dim, 2, { role: 'head', outAxis: 'class', inAxis: 'hidden' }) }),
    apply: (hidden, context) => ({ tokens: logitsOf(hidden, context), nextSentence: follows(hidden, context) }),
    loss: (batch, encode, contextOf) => {
      const context = contextOf(batch);
      const hidden = encode(batch);
      const ofTokens = batch.rows === undefined ? hidden : embedding(batch.rows, { weight: reshape(hidden, [-1, hidden.shape.at(-1) as number]) });
      return add(crossEntropy(logitsOf(ofTokens, context), batch.labels), crossEntropy(follows(hidden, context), batch.nextSentence)) as Scalar;
    },
  };
}

import { add, div, mean, reshape, split, square, sub, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { checkDtype, checkInteger, ConfigError } from '@evenkeel/core-tensor';
import { crossEntropy, linearLayer } from '@evenkeel/layers';
import type { BertInputs } from './bert.ts';
import type { BertConfig } from './bertConfig.ts';
import { pooled, poolerLayers, type BertHead, type HeadContext } from './bertWithHead.ts';

/** LabelledBatch — inputs and labels: one per sequence, `b`, or one per token, shaped as `ids`, with −100 where none counts; classes are int32, numbers to be told float32. */
export type LabelledBatch = BertInputs & { readonly labels: Tensor };

/** SpanBatch — inputs, and the first and last token of each answer, `b`, int32; −100 where a sequence has none. */
export type SpanBatch = BertInputs & { readonly starts: Tensor; readonly ends: Tensor };

const classifier = ({ dim }: BertConfig, numClasses: number, inAxis: string) => linearLayer()(dim, numClasses, { role: 'head', outAxis: 'class', inAxis });

/** classificationHead — one class per sequence, from the pooled first token: logits `b k`. */
export function classificationHead({ numClasses }: { numClasses: number }): BertHead<Tensor, LabelledBatch> {
  checkInteger('classificationHead', 'numClasses', numClasses, 2);
  const apply = (hidden: Tensor, context: HeadContext): Tensor => context.through('classifier', context.drop(pooled(hidden, context), 'pooled'));
  return {
    kind: 'classification',
    layers: (config) => ({ ...poolerLayers(config), classifier: classifier(config, numClasses, 'hidden') }),
    apply,
    loss: (batch, encode, contextOf) => crossEntropy(apply(encode(batch), contextOf(batch)), batch.labels),
  };
}

/**
 * regressionHead — one number per sequence, from the pooled first token, `b`: how alike two sentences are (STS-B). The loss is the mean squared
 * error of float32 labels `b`. The layers are those of `classificationHead` with one class, as in `transformers`.
 */
export function regressionHead(): BertHead<Tensor, LabelledBatch> {
  const apply = (hidden: Tensor, context: HeadContext): Tensor => reshape(context.through('classifier', context.drop(pooled(hidden, context), 'pooled')), [-1]);
  return {
    kind: 'regression',
    layers: (config) => ({ ...poolerLayers(config), classifier: classifier(config, 1, 'hidden') }),
    apply,
    loss: (batch, encode, contextOf) => {
      checkDtype('regressionHead', 'labels', batch.labels, 'float32');
      return mean(square(sub(apply(encode(batch), contextOf(batch)), batch.labels))) as Scalar;
    },
  };
}

/** tokenClassificationHead — one class per token: logits shaped as the ids and `k`. */
export function tokenClassificationHead({ numClasses }: { numClasses: number }): BertHead<Tensor, LabelledBatch> {
  checkInteger('tokenClassificationHead', 'numClasses', numClasses, 2);
  const apply = (hidden: Tensor, context: HeadContext): Tensor => context.through('classifier', context.drop(hidden, 'tokens'));
  return {
    kind: 'tokenClassification',
    layers: (config) => ({ classifier: classifier(config, numClasses, 'dim') }),
    apply,
    loss: (batch, encode, contextOf) => crossEntropy(apply(encode(batch), contextOf(batch)), batch.labels),
  };
}

/**
 * spanHead — extractive question answering: logits of each token as the first and as the last of the answer, `{ starts: b t, ends: b t }`.
 *
 * The loss is the mean of both cross-entropies. Sequences must be padded; padding may be chosen, so mask it where an answer is read (`bestSpan`).
 *
 * @throws ConfigError  (when called) for sequences without padding.
 */
export function spanHead(): BertHead<{ starts: Tensor; ends: Tensor }, SpanBatch> {
  const apply = (hidden: Tensor, { inputs, through }: HeadContext): { starts: Tensor; ends: Tensor } => {
    if (inputs.cuSeqlens !== undefined) throw new ConfigError('spanHead: inputs must be padded, got cuSeqlens');
    const logits = through('classifier', hidden); // b t 2
    const [starts, ends] = split(logits, 2, 2).map((part) => reshape(part, part.shape.slice(0, 2))) as [Tensor, Tensor];
    return { starts, ends };
  };
  return {
    kind: 'span',
    layers: (config) => ({ classifier: classifier(config, 2, 'dim') }),
    apply,
    loss: (batch, encode, contextOf) => {
      const { starts, ends } = apply(encode(batch), contextOf(batch));
      return div(add(crossEntropy(starts, batch.starts), crossEntropy(ends, batch.ends)), 2) as Scalar;
    },
  };
}

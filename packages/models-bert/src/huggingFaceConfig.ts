import { z } from 'zod';
import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { bertConfig, type BertActivation, type BertConfig } from './bertConfig.ts';
import type { BertHeadKind } from './bertWithHead.ts';

/** BertFamily — whose names and numbering of positions a checkpoint has. */
export type BertFamily = 'bert' | 'roberta';

/** What `config.json` of a Hugging Face BERT or RoBERTa directory must hold; other keys are left alone. */
const schema = z.object({
  model_type: z.enum(['bert', 'roberta']).default('bert'),
  vocab_size: z.number().int().positive(),
  max_position_embeddings: z.number().int().positive(),
  type_vocab_size: z.number().int().positive().default(2),
  hidden_size: z.number().int().positive(),
  num_hidden_layers: z.number().int().positive(),
  num_attention_heads: z.number().int().positive(),
  intermediate_size: z.number().int().positive(),
  hidden_act: z.string().default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-12),
  hidden_dropout_prob: z.number().default(0.1),
  position_embedding_type: z.string().default('absolute'),
  is_decoder: z.boolean().default(false),
  pad_token_id: z.number().int().nullish(),
});

const ACTIVATIONS: ReadonlyMap<string, BertActivation> = new Map(Object.entries({ gelu: 'gelu', gelu_new: 'geluTanh', gelu_pytorch_tanh: 'geluTanh', silu: 'silu', swish: 'silu' }));
const ACTIVATION_NAMES: Readonly<Record<BertActivation, string>> = { gelu: 'gelu', geluTanh: 'gelu_new', silu: 'silu' };

/**
 * bertConfigFromHuggingFace — our configuration from the parsed `config.json` of a BERT or RoBERTa checkpoint.
 *
 * @throws ConfigError       if a field is missing or of the wrong kind, or it is of another architecture; the message names it.
 * @throws UnsupportedError  if the checkpoint uses an option that this model does not have.
 */
export function bertConfigFromHuggingFace(json: unknown): { config: BertConfig; family: BertFamily } {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ConfigError(`bertConfigFromHuggingFace: config.json must be one of BERT or RoBERTa, got ${issue?.path.join('.') || 'a wrong document'}: ${issue?.message ?? ''}`);
  }
  const found = parsed.data;
  const activation = ACTIVATIONS.get(found.hidden_act);
  if (activation === undefined) throw new UnsupportedError(`bertConfigFromHuggingFace: hidden_act must be one of ${[...ACTIVATIONS.keys()].join(', ')}, got ${found.hidden_act}`);
  if (found.position_embedding_type !== 'absolute') throw new UnsupportedError(`bertConfigFromHuggingFace: position_embedding_type must be absolute, got ${found.position_embedding_type}`);
  if (found.is_decoder) throw new UnsupportedError('bertConfigFromHuggingFace: is_decoder must be false, got true');
  const positionOffset = found.model_type === 'roberta' ? (found.pad_token_id ?? 1) + 1 : 0;
  const config = bertConfig({
    vocabSize: found.vocab_size, contextLength: found.max_position_embeddings - positionOffset, typeVocabSize: found.type_vocab_size,
    depth: found.num_hidden_layers, dim: found.hidden_size, numHeads: found.num_attention_heads, hiddenDim: found.intermediate_size,
    activation, dropout: found.hidden_dropout_prob, normEps: found.layer_norm_eps, positionOffset,
  });
  return { config, family: found.model_type };
}

const ARCHITECTURES: Readonly<Record<BertHeadKind, string>> = {
  maskedLm: 'ForMaskedLM', preTraining: 'ForPreTraining', classification: 'ForSequenceClassification', regression: 'ForSequenceClassification',
  tokenClassification: 'ForTokenClassification', span: 'ForQuestionAnswering',
};

/**
 * bertConfigToHuggingFace — the `config.json` with which `transformers` loads a model with that head; `numClasses` of a classifier, and their names.
 *
 * @throws ConfigError  if `classes` are not as many as the classifier's.
 */
export function bertConfigToHuggingFace(
  config: BertConfig, { family, kind, numClasses, classes }: { family: BertFamily; kind: BertHeadKind; numClasses?: number; classes?: readonly string[] },
): Record<string, unknown> {
  const labels = classes ?? (numClasses === undefined ? [] : Array.from({ length: numClasses }, (_, i) => `LABEL_${i}`));
  if (classes !== undefined && classes.length !== numClasses) throw new ConfigError(`bertConfigToHuggingFace: classes must be ${numClasses ?? 'left out without a classifier'}, as many as the classifier's, got ${classes.length}`);
  return {
    model_type: family,
    architectures: [`${family === 'bert' ? 'Bert' : 'Roberta'}${ARCHITECTURES[kind]}`],
    vocab_size: config.paddedVocabSize,
    max_position_embeddings: config.contextLength + config.positionOffset,
    type_vocab_size: config.typeVocabSize,
    hidden_size: config.dim,
    num_hidden_layers: config.depth,
    num_attention_heads: config.numHeads,
    intermediate_size: config.hiddenDim,
    hidden_act: ACTIVATION_NAMES[config.activation],
    layer_norm_eps: config.normEps,
    hidden_dropout_prob: config.dropout,
    attention_probs_dropout_prob: config.dropout,
    initializer_range: 0.02,
    position_embedding_type: 'absolute',
    pad_token_id: family === 'roberta' ? config.positionOffset - 1 : 0,
    ...(labels.length > 0 && { id2label: Object.fromEntries(labels.entries()), label2id: Object.fromEntries(labels.map((label, i) => [label, i])) }),
    ...(kind === 'regression' && { problem_type: 'regression' }),
    torch_dtype: 'float32',
  };
}

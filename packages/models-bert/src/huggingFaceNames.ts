import type { NamedWeight } from '@evenkeel/checkpoint';
import { UnsupportedError } from '@evenkeel/core-tensor';
import type { BertConfig } from './bertConfig.ts';
import type { BertHeadKind } from './bertWithHead.ts';
import type { BertFamily } from './huggingFaceConfig.ts';

type Pair = readonly [path: string, name: string | readonly string[]];

const EMBEDDINGS: readonly Pair[] = [
  ['wordEmbedding', 'embeddings.word_embeddings'], ['positionEmbedding', 'embeddings.position_embeddings'], ['typeEmbedding', 'embeddings.token_type_embeddings'],
];
const ATTENTION = 'attention.self';
const OF_BLOCK: readonly Pair[] = [
  ['attn.qkv', [`${ATTENTION}.query`, `${ATTENTION}.key`, `${ATTENTION}.value`]],
  ['attn.proj', 'attention.output.dense'],
  ['norm1', 'attention.output.LayerNorm'],
  ['mlp.up', 'intermediate.dense'],
  ['mlp.down', 'output.dense'],
  ['norm2', 'output.LayerNorm'],
];
const POOLER: Pair = ['head.pooler', 'pooler.dense'];
const MASKED_LM: readonly Pair[] = [['head.dense', 'cls.predictions.transform.dense'], ['head.norm', 'cls.predictions.transform.LayerNorm']];

const BERT_CLASSIFIER = { layers: [POOLER, ['head.classifier', 'classifier']] as const };
const ROBERTA_CLASSIFIER = { layers: [['head.pooler', 'classifier.dense'], ['head.classifier', 'classifier.out_proj']] as const };

/** The layers of each head, with weight and bias; and the bias that stands alone. */
const HEADS: Readonly<Record<BertFamily, Partial<Record<BertHeadKind, { layers: readonly Pair[]; bias?: string }>>>> = {
  bert: {
    maskedLm: { layers: MASKED_LM, bias: 'cls.predictions.bias' },
    preTraining: { layers: [...MASKED_LM, POOLER, ['head.nextSentence', 'cls.seq_relationship']], bias: 'cls.predictions.bias' },
    classification: BERT_CLASSIFIER,
    regression: BERT_CLASSIFIER,
    tokenClassification: { layers: [['head.classifier', 'classifier']] },
    span: { layers: [['head.classifier', 'qa_outputs']] },
  },
  roberta: {
    maskedLm: { layers: [['head.dense', 'lm_head.dense'], ['head.norm', 'lm_head.layer_norm']], bias: 'lm_head.bias' },
    classification: ROBERTA_CLASSIFIER,
    regression: ROBERTA_CLASSIFIER,
    tokenClassification: { layers: [['head.classifier', 'classifier']] },
    span: { layers: [['head.classifier', 'qa_outputs']] },
  },
};

/**
 * bertNames — every parameter of a model with its name in `transformers`, without the prefix `bert.` or `roberta.`. Query, key and value are parts of one of ours.
 *
 * @throws UnsupportedError  for a head that the family does not have: RoBERTa predicts no next sentence.
 */
export function bertNames({ depth }: Pick<BertConfig, 'depth'>, { family, kind }: { family: BertFamily; kind: BertHeadKind }): NamedWeight[] {
  const head = HEADS[family][kind];
  if (head === undefined) throw new UnsupportedError(`bertNames: ${family} must have a head of kind ${Object.keys(HEADS[family]).join(', ')}, got ${kind}`);
  const blocks = Array.from({ length: depth }, (_, i) => OF_BLOCK.flatMap((pair) => both(pair, { path: `blocks.${i}.`, name: `encoder.layer.${i}.` })));
  return [
    ...EMBEDDINGS.map(([path, name]) => ({ path: `${path}.weight`, name: `${name as string}.weight` })),
    ...both(['embeddingNorm', 'embeddings.LayerNorm']),
    ...blocks.flat(),
    ...head.layers.flatMap((pair) => both(pair)),
    ...(head.bias === undefined ? [] : [{ path: 'head.output.bias', name: head.bias }]),
  ];
}

function both([path, name]: Pair, prefix = { path: '', name: '' }): NamedWeight[] {
  const named = (leaf: string): NamedWeight['name'] => (typeof name === 'string' ? `${prefix.name}${name}.${leaf}` : name.map((part) => `${prefix.name}${part}.${leaf}`));
  return ['weight', 'bias'].map((leaf) => ({ path: `${prefix.path}${path}.${leaf}`, name: named(leaf) }));
}

const BUFFERS = /^embeddings\.(position_ids|token_type_ids)$|^(cls\.predictions|lm_head)\.decoder\.(weight|bias)$/;

/** ofHead — whether a tensor belongs to some head of BERT's or RoBERTa's. */
export const ofHead = (name: string): boolean => /^(cls|pooler|classifier|qa_outputs|lm_head)\./.test(name);

/** bertNameOf — the name in `bertNames` of a tensor of a file: without prefix, gamma and beta by their newer names; undefined for what is no weight of its own. */
export function bertNameOf(stored: string): string | undefined {
  const name = stored.replace(/^(bert|roberta)\./, '').replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias');
  return BUFFERS.test(name) ? undefined : name;
}

/** fileNameOf — the name in a file of a name in `bertNames`. */
export const fileNameOf = (name: string, family: BertFamily): string => (/^(embeddings|encoder|pooler)\./.test(name) ? `${family}.${name}` : name);

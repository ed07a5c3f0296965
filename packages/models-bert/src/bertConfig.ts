import { checkDivisible, checkInteger, checkOneOf, checkPositive, checkProbability } from '@evenkeel/core-tensor';

/** BertActivation — the MLP's nonlinearity: BERT uses GELU with erf. */
export type BertActivation = 'gelu' | 'geluTanh' | 'silu';

/** BertPositions — learned positions (BERT), linear biases of attention (MosaicBERT), or none beside those of an attention of one's own. */
export type BertPositions = 'learned' | 'alibi' | 'none';

/** BertConfig — the sizes of an encoder, plain data that a checkpoint can hold. Techniques are given separately, as values. */
export type BertConfig = {
  readonly vocabSize: number;
  /** Rows of the word embedding: `vocabSize` rounded up to a multiple of `vocabMultiple`. Those behind it are never a target. */
  readonly paddedVocabSize: number;
  /** Default 1. */
  readonly vocabMultiple: number;
  /** Longest sequence with learned positions, in tokens; default 512. */
  readonly contextLength: number;
  /** Kinds of segments; default 2. */
  readonly typeVocabSize: number;
  readonly depth: number;
  readonly dim: number;
  readonly numHeads: number;
  /** Channels inside the MLP. Default 4·dim. */
  readonly hiddenDim: number;
  readonly activation: BertActivation;
  readonly positions: BertPositions;
  /** Row of the position embedding of the first token: 0 in BERT, 2 in RoBERTa. Default 0. */
  readonly positionOffset: number;
  /** Probability of dropping, after the embedding, in attention, on both residual branches and in heads. Default 0. */
  readonly dropout: number;
  /** Added to the variance in LayerNorm. Default 1e-12. */
  readonly normEps: number;
  /** Constant factor of the logits of heads that are the word embedding transposed. Default 1. */
  readonly logitScale: number;
};

/** BertSizes — what a caller must say; the rest of BertConfig has defaults. */
export type BertSizes = Pick<BertConfig, 'vocabSize' | 'depth' | 'dim' | 'numHeads'> & Partial<Omit<BertConfig, 'paddedVocabSize'>>;

/**
 * bertConfig — a checked configuration with the defaults of BERT filled in.
 *
 * @throws ConfigError  if a size is not a positive integer, `dim` is not divisible by `numHeads`, or a choice is unknown.
 */
export function bertConfig({ vocabSize, depth, dim, numHeads, ...rest }: BertSizes): BertConfig {
  const config = {
    vocabSize, depth, dim, numHeads, vocabMultiple: rest.vocabMultiple ?? 1, contextLength: rest.contextLength ?? 512,
    typeVocabSize: rest.typeVocabSize ?? 2, hiddenDim: rest.hiddenDim ?? 4 * dim, activation: rest.activation ?? 'gelu',
    positions: rest.positions ?? 'learned', positionOffset: rest.positionOffset ?? 0, dropout: rest.dropout ?? 0, normEps: rest.normEps ?? 1e-12,
    logitScale: rest.logitScale ?? 1,
  };
  for (const name of ['vocabSize', 'vocabMultiple', 'contextLength', 'typeVocabSize', 'depth', 'dim', 'numHeads', 'hiddenDim'] as const) checkInteger('bert', name, config[name]);
  checkInteger('bert', 'positionOffset', config.positionOffset, 0);
  checkDivisible('bert', 'dim', dim, 'numHeads', numHeads);
  checkProbability('bert', 'dropout', config.dropout);
  checkPositive('bert', 'normEps', config.normEps);
  checkPositive('bert', 'logitScale', config.logitScale);
  checkOneOf('bert', 'activation', config.activation, ['gelu', 'geluTanh', 'silu']);
  checkOneOf('bert', 'positions', config.positions, ['learned', 'alibi', 'none']);
  return Object.freeze({ ...config, paddedVocabSize: Math.ceil(vocabSize / config.vocabMultiple) * config.vocabMultiple });
}

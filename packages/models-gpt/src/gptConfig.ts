import { checkDivisible, checkInteger, checkOneOf, checkPositive, checkProbability } from '@evenkeel/core-tensor';

/** GptActivation — the MLP's nonlinearity: GPT-2 uses the tanh form of GELU. */
export type GptActivation = 'geluTanh' | 'gelu' | 'silu';

/** GptConfig — the sizes of a GPT, plain data that a checkpoint can hold. Techniques are given separately, as values. */
export type GptConfig = {
  readonly vocabSize: number;
  /** Longest sequence, in tokens; the number of learned positions. */
  readonly contextLength: number;
  /** Number of transformer blocks. */
  readonly depth: number;
  /** Channels of the residual stream. */
  readonly dim: number;
  readonly numHeads: number;
  /** Heads of keys and values; fewer than `numHeads` is grouped-query attention. Default `numHeads`. */
  readonly numKvHeads: number;
  /** Channels inside the MLP. Default 4·dim. */
  readonly hiddenDim: number;
  readonly activation: GptActivation;
  /** Probability of dropping, after the embedding, in attention and on both residual branches. Default 0. */
  readonly dropout: number;
  /** Whether linears and norms have biases. Default true, as in GPT-2. */
  readonly bias: boolean;
  /** Added to the variance in LayerNorm. */
  readonly normEps: number;
  /** Whether the output head is the token embedding transposed. Default true, as in GPT-2. */
  readonly tiedHead: boolean;
  /** Constant factor of the logits. Default 1. */
  readonly logitScale: number;
};

/** GptSizes — what a caller must say; the rest of GptConfig has defaults. */
export type GptSizes = Pick<GptConfig, 'vocabSize' | 'contextLength' | 'depth' | 'dim' | 'numHeads'> & Partial<GptConfig>;

/**
 * gptConfig — a checked configuration with the defaults of GPT-2 filled in.
 *
 * @throws ConfigError  if a size is not a positive integer, `dim` not divisible by `numHeads`, `numHeads` not by `numKvHeads`.
 */
export function gptConfig(sizes: GptSizes): GptConfig {
  const { vocabSize, contextLength, depth, dim, numHeads } = sizes;
  for (const [name, value] of Object.entries({ vocabSize, contextLength, depth, dim, numHeads })) checkInteger('gpt', name, value);
  const config: GptConfig = {
    vocabSize, contextLength, depth, dim, numHeads,
    numKvHeads: sizes.numKvHeads ?? numHeads,
    hiddenDim: sizes.hiddenDim ?? 4 * dim,
    activation: sizes.activation ?? 'geluTanh',
    dropout: sizes.dropout ?? 0,
    bias: sizes.bias ?? true,
    normEps: sizes.normEps ?? 1e-5,
    tiedHead: sizes.tiedHead ?? true,
    logitScale: sizes.logitScale ?? 1,
  };
  checkInteger('gpt', 'numKvHeads', config.numKvHeads);
  checkInteger('gpt', 'hiddenDim', config.hiddenDim);
  checkDivisible('gpt', 'dim', dim, 'numHeads', numHeads);
  checkDivisible('gpt', 'numHeads', numHeads, 'numKvHeads', config.numKvHeads);
  checkProbability('gpt', 'dropout', config.dropout);
  checkPositive('gpt', 'normEps', config.normEps);
  checkPositive('gpt', 'logitScale', config.logitScale);
  checkOneOf('gpt', 'activation', config.activation, ['geluTanh', 'gelu', 'silu']);
  return Object.freeze(config);
}

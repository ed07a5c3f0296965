import { checkInteger, checkPositive, ConfigError } from '@evenkeel/core-tensor';

export type SuggestOptions = {
  vocabSize: number;
  /** Channels of a head, which stays the same as models grow; default 64. */
  headDim?: number;
  /** Default 256. */
  contextLength?: number;
  /** Width in channels per block that is aimed at; default 48. GPT-2 has 64 at its smallest; models of 10⁵ parameters do well with 16. */
  aspect?: number;
  /** Whether the target counts embeddings; default false. */
  countEmbeddings?: boolean;
};

/** SuggestedConfig — sizes for `gpt({ … })` of @evenkeel/models-gpt. */
export type SuggestedConfig = {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly depth: number;
  readonly dim: number;
  readonly numHeads: number;
};

/** Suggestion — the sizes, and what such a model of GPT-2's layout has of parameters, without embeddings and with them. */
export type Suggestion = { readonly config: SuggestedConfig; readonly params: number; readonly paramsWithEmbeddings: number };

const MAX_HEADS = 512;

/** What a factor of e in width per block weighs against a factor of e in parameters. */
const ASPECT_WEIGHT = 0.25;

/**
 * suggestConfig — depth and width of a GPT with about `params` parameters, both grown together, heads of one size.
 *
 * Of all numbers of heads, each with the depth that comes closest, the one is taken whose size and shape are least off:
 * |ln(actual / params)| + 0.25 · |ln(dim / depth / aspect)|.
 *
 * @param params  the target, without embeddings unless `countEmbeddings`: `planOneEpoch(…).params`.
 * @throws ConfigError  if even one head and one block are more than twice as many.
 */
export function suggestConfig(params: number, { vocabSize, headDim = 64, contextLength = 256, aspect = 48, countEmbeddings = false }: SuggestOptions): Suggestion {
  checkPositive('suggestConfig', 'params', params);
  for (const [name, value] of Object.entries({ vocabSize, headDim, contextLength })) checkInteger('suggestConfig', name, value);
  checkPositive('suggestConfig', 'aspect', aspect);
  const sizeOf = ({ params: blocks, paramsWithEmbeddings }: Suggestion): number => (countEmbeddings ? paramsWithEmbeddings : blocks);
  let best: { cost: number; suggestion: Suggestion } | undefined;
  for (let numHeads = 1; numHeads <= MAX_HEADS; numHeads++) {
    const dim = numHeads * headDim;
    const rest = 2 * dim + (countEmbeddings ? (vocabSize + contextLength) * dim : 0);
    const depth = Math.max(1, Math.round((params - rest) / blockParams(dim)));
    const suggestion = suggestionOf({ vocabSize, contextLength, depth, dim, numHeads });
    const cost = Math.abs(Math.log(sizeOf(suggestion) / params)) + ASPECT_WEIGHT * Math.abs(Math.log(dim / depth / aspect));
    if (best === undefined || cost < best.cost) best = { cost, suggestion };
  }
  const { suggestion } = best as { suggestion: Suggestion };
  const size = sizeOf(suggestion);
  if (size > 2 * params) throw new ConfigError(`suggestConfig: params must be at least ${Math.ceil(size / 2)} with heads of ${headDim} channels, got ${params}. A smaller headDim allows smaller models.`);
  return suggestion;
}

/** Weights and biases of qkv, projection and MLP, and two norms. */
const blockParams = (dim: number): number => 12 * dim * dim + 13 * dim;

function suggestionOf(config: SuggestedConfig): Suggestion {
  const { vocabSize, contextLength, depth, dim } = config;
  const params = depth * blockParams(dim) + 2 * dim;
  return { config, params, paramsWithEmbeddings: params + (vocabSize + contextLength) * dim };
}

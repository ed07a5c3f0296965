import { checkInteger, checkPositive, ConfigError } from '@evenkeel/core-tensor';

/** TOKENS_PER_PARAM — the ratio of tokens to parameters that the one-epoch paper recommends. */
const TOKENS_PER_PARAM = 5;

/** FLOPS_PER_PARAM — floating-point operations of a training step per parameter and token: two forward, four backward. */
export const FLOPS_PER_PARAM = 6;

export type OneEpochPlanOptions = {
  /** What may be spent, in floating-point operations. One of these three must be given. */
  computeFlops?: number;
  /** How large the model is. Count it in the same way throughout, with embeddings or without: at small sizes they are most of it. */
  params?: number;
  /** How many tokens the corpus has; the plan uses as many as make whole steps. */
  tokens?: number;
  /** Default 5, as in the paper. Hoffmann et al. 2022 (arXiv:2203.15556) found about 20 for large models. */
  tokensPerParam?: number;
  /** Rows of a batch times the context length. */
  tokensPerStep: number;
};

/** OneEpochPlan — `tokens = steps · tokensPerStep`, none of them twice; `flops = 6 · params · tokens`. */
export type OneEpochPlan = { readonly params: number; readonly tokens: number; readonly steps: number; readonly flops: number };

/**
 * planOneEpoch — how large a model to train and for how long, with each token seen once, given one of compute, model or corpus.
 *
 *     6 · params · tokens = computeFlops        tokens / params = tokensPerParam
 *
 * Both hold up to the rounding to whole parameters and whole steps; planning again from the model of a plan gives the same plan.
 *
 * @throws ConfigError  if not exactly one of the three is given, a number is not positive, or it does not suffice for one step.
 *
 * Source: Komatsuzaki 2019, arXiv:1906.06669, with 6 floating-point operations per parameter and token of Kaplan et al. 2020, arXiv:2001.08361.
 */
export function planOneEpoch({ computeFlops, params, tokens, tokensPerParam = TOKENS_PER_PARAM, tokensPerStep }: OneEpochPlanOptions): OneEpochPlan {
  const given = Object.entries({ computeFlops, params, tokens }).filter((entry): entry is [string, number] => entry[1] !== undefined);
  if (given.length !== 1) throw new ConfigError(`planOneEpoch: one of computeFlops, params and tokens must be given, got ${given.map(([name]) => name).join(' and ') || 'none'}`);
  for (const [name, value] of given) checkPositive('planOneEpoch', name, value);
  checkPositive('planOneEpoch', 'tokensPerParam', tokensPerParam);
  checkInteger('planOneEpoch', 'tokensPerStep', tokensPerStep);
  if (params !== undefined) checkInteger('planOneEpoch', 'params', params);
  const wanted = tokens ?? (params === undefined ? Math.sqrt((computeFlops as number) * tokensPerParam / FLOPS_PER_PARAM) : params * tokensPerParam);
  const steps = tokens === undefined ? Math.round(wanted / tokensPerStep) : Math.floor(wanted / tokensPerStep); // a corpus cannot be exceeded
  if (steps < 1) throw new ConfigError(`planOneEpoch: ${given[0]?.[0]} must suffice for one step of ${tokensPerStep} tokens, got ${given[0]?.[1]}`);
  const used = steps * tokensPerStep;
  const size = params ?? Math.max(1, Math.round(used / tokensPerParam));
  return { params: size, tokens: used, steps, flops: FLOPS_PER_PARAM * size * used };
}

/** AdjustedPlan — not rounded: `params · tokens` is what it was. */
export type AdjustedPlan = { readonly params: number; readonly tokens: number; readonly flops: number; /** What `params` was multiplied by and `tokens` divided by. */ readonly factor: number };

/**
 * adjustPlan — the model and the number of tokens that cost the same but have the recommended ratio.
 *
 *     factor = √(tokens / params / tokensPerParam)        params' = params · factor        tokens' = tokens / factor
 *
 * A factor above 1 says that the model was too small and trained for too long. Width and depth should grow together, with heads and batch
 * as they are.
 *
 * @param plan     of an existing configuration; unchanged if it has the ratio already.
 * @param options  `tokensPerParam`, default 5.
 *
 * Source: Komatsuzaki 2019, arXiv:1906.06669.
 */
export function adjustPlan({ params, tokens }: { params: number; tokens: number }, { tokensPerParam = TOKENS_PER_PARAM }: { tokensPerParam?: number } = {}): AdjustedPlan {
  for (const [name, value] of Object.entries({ params, tokens, tokensPerParam })) checkPositive('adjustPlan', name, value);
  const factor = Math.sqrt(tokens / params / tokensPerParam);
  return { params: params * factor, tokens: tokens / factor, flops: FLOPS_PER_PARAM * params * tokens, factor };
}

/**
 * effectiveTokens — how many unseen tokens several epochs are worth.
 *
 *     unique + unique · halfLife · (1 − exp(−(epochs − 1) / halfLife))        epochs ≤ 1: unique · epochs
 *
 * A few epochs cost almost nothing; beyond some `halfLife` of them repeating adds little.
 *
 * @param unique   tokens of the corpus.
 * @param epochs   times each is seen; need not be whole.
 * @param options  `halfLife`: epochs over which the value of a repetition falls to 1/e. The default of 15 is quoted from memory and has not been
 *                 checked against the source; take it for an order of magnitude.
 *
 * Source: Muennighoff et al. 2023, arXiv:2305.16264, for the form of the law.
 */
export function effectiveTokens(unique: number, epochs: number, { halfLife = 15 }: { halfLife?: number } = {}): number {
  for (const [name, value] of Object.entries({ unique, epochs, halfLife })) checkPositive('effectiveTokens', name, value);
  return epochs <= 1 ? unique * epochs : unique * (1 + halfLife * -Math.expm1(-(epochs - 1) / halfLife));
}

import {
  checkDtype, checkPositive, checkProbability, checkRank, checkShape, ConfigError, describeShape, ShapeError,
  type AttentionCallOptions, type Seed,
} from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';

export type FlashAttentionOptions = AttentionCallOptions & {
  /** Factor of the scores; default 1/√headDim. */
  readonly scale?: number;
  /** `[left, right]`: query i sees keys from i + s − t − left to i + s − t + right. In tokens; −1 or Infinity = unlimited. */
  readonly window?: readonly [left: number, right: number];
  /** Probability of dropping each attention weight; acts only with `train` and needs `seed`. Default 0. */
  readonly dropout?: number;
  /** Whether to return `{ out, lse }` instead of `out`. Default false. */
  readonly returnLse?: boolean;
};

/** AttentionWithLse — the result, and the log-sum-exp of each query's scores, `b h t`, by which partial results are merged. */
export type AttentionWithLse = { out: Tensor; lse: Tensor };

/** AttentionAttrs — what a kernel is told; −1 = unlimited. */
export type AttentionAttrs = { scale: number; causal: boolean; windowLeft: number; windowRight: number };

/** AttentionDropout — which attention weights to drop: element i of `b h t s` by the bits of `seed`. */
export type AttentionDropout = { rate: number; seed: Seed };

/** checkAttentionInputs — q `b t h d`, k and v `b s g d`, float32, s ≥ 1, g divides h. */
export function checkAttentionInputs(fn: string, q: Tensor, k: Tensor, v: Tensor): void {
  for (const [name, tensor] of [['q', q], ['k', k], ['v', v]] as const) {
    checkDtype(fn, name, tensor, 'float32');
    checkRank(fn, name, tensor, 4);
  }
  const [batchSize = 0, , numHeads = 0, headDim = 0] = q.shape;
  const [, kvLen = 0, numKvHeads = 0] = k.shape;
  checkShape(fn, 'k', k, [batchSize, null, null, headDim]);
  checkShape(fn, 'v', v, k.shape);
  if (kvLen === 0) throw new ShapeError(`${fn}: k must have at least one key, got shape ${describeShape(k.shape)}`);
  if (numKvHeads === 0 || numHeads % numKvHeads !== 0) {
    throw new ShapeError(`${fn}: k must have a number of heads that divides the ${numHeads} of q, got ${numKvHeads}`);
  }
}

/** resolveOptions — checked options with their defaults, split into what kernels understand and what they do not. */
export function resolveOptions(
  fn: string, q: Tensor, k: Tensor,
  { scale = 1 / Math.sqrt(q.shape[3] as number), causal = false, window = [-1, -1], dropout = 0, train = false, seed }: FlashAttentionOptions,
): { attrs: AttentionAttrs; dropout?: AttentionDropout } {
  checkPositive(fn, 'scale', scale);
  checkProbability(fn, 'dropout', dropout);
  if (!Array.isArray(window) || window.length !== 2) {
    throw new ConfigError(`${fn}: window must be [left, right], got ${JSON.stringify(window)}`);
  }
  const windowLeft = windowSide(fn, 'window[0]', window[0], k.shape[1] as number);
  const windowRight = windowSide(fn, 'window[1]', window[1], q.shape[1] as number);
  const attrs = { scale, causal, windowLeft, windowRight };
  if (dropout === 0 || !train) return { attrs };
  if (seed === undefined) throw new ConfigError(`${fn}: seed must be given when dropout acts, got undefined`);
  return { attrs, dropout: { rate: dropout, seed } };
}

/** `tokens`, cut to `furthest`, from where it hides nothing: kernels add positions to it in 32 bits. */
function windowSide(fn: string, arg: string, tokens: number, furthest: number): number {
  if (tokens === Infinity) return -1;
  if (!Number.isInteger(tokens) || tokens < -1) throw new ConfigError(`${fn}: ${arg} must be an integer ≥ -1, got ${String(tokens)}`);
  return Math.min(tokens, furthest);
}

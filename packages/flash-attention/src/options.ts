import {
  checkDtype, checkPositive, checkProbability, checkRank, checkShape, ConfigError, describeShape, ShapeError,
  type AttentionCallOptions, type PackedAttentionSizes, type Seed,
} from '@evenkeel/core-tensor';
import { customGrad, type Tensor } from '@tensorflow/tfjs-core';

export type FlashAttentionOptions = AttentionCallOptions & {
  /** Factor of the scores; default 1/√headDim. */
  readonly scale?: number;
  /** `[left, right]`: query i sees keys from i + s − t − left to i + s − t + right. In tokens; −1 or Infinity = unlimited. */
  readonly window?: readonly [left: number, right: number];
  /** ALiBi: `h` or `b h`, float32. The score of query i and key j is lowered by slope · |i + s − t − j|. A constant: no gradient. */
  readonly alibiSlopes?: Tensor;
  /** Added to the scaled scores: float32 of rank 4, each axis either full or 1 in `b h t s`. Differentiable. */
  readonly bias?: Tensor;
  /** Probability of dropping each attention weight; acts only with `train` and needs `seed`. Default 0. */
  readonly dropout?: number;
  /** Whether to return `{ out, lse }` instead of `out`. Default false. */
  readonly returnLse?: boolean;
};

/** AttentionWithLse — the result, and the log-sum-exp of each query's scores, `b h t`, by which partial results are merged. */
export type AttentionWithLse = { out: Tensor; lse: Tensor };

/** FlashAttentionPackedOptions — those of `flashAttention`, and the numbers of heads. */
export type FlashAttentionPackedOptions = FlashAttentionOptions & PackedAttentionSizes;

/** AttentionTerms — tensors that change the scores. */
export type AttentionTerms = { alibiSlopes?: Tensor; bias?: Tensor };

export type AttentionInputs = AttentionTerms & { q: Tensor; k: Tensor; v: Tensor };

/** AttentionAttrs — what a kernel is told; −1 = unlimited. Weight i of `b h t s` is dropped by bits(i) of `seed`, none if `dropout` is 0. */
export type AttentionAttrs = { scale: number; causal: boolean; windowLeft: number; windowRight: number; dropout: number; seed: Seed };

/** AttentionSizes — b, t, s, h, d of a call. */
type AttentionSizes = { batchSize: number; seqLen: number; kvLen: number; numHeads: number; headDim: number };

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

/** resolveOptions — checked options with their defaults: numbers for `attrs`, and the tensors among them. */
export function resolveOptions(
  fn: string, { batchSize, seqLen, kvLen, numHeads, headDim }: AttentionSizes,
  { scale = 1 / Math.sqrt(headDim), causal = false, window = [-1, -1], alibiSlopes, bias, dropout = 0, train = false, seed }: FlashAttentionOptions,
): { attrs: AttentionAttrs; terms: AttentionTerms } {
  checkPositive(fn, 'scale', scale);
  checkProbability(fn, 'dropout', dropout);
  if (!Array.isArray(window) || window.length !== 2) {
    throw new ConfigError(`${fn}: window must be [left, right], got ${JSON.stringify(window)}`);
  }
  const windowLeft = windowSide(fn, 'window[0]', window[0], kvLen);
  const windowRight = windowSide(fn, 'window[1]', window[1], seqLen);
  if (alibiSlopes !== undefined) checkSlopes(fn, alibiSlopes, batchSize, numHeads);
  if (bias !== undefined) checkBias(fn, bias, [batchSize, numHeads, seqLen, kvLen]);
  const drops = train && dropout > 0;
  if (drops && seed === undefined) throw new ConfigError(`${fn}: seed must be given when dropout acts, got undefined`);
  return {
    attrs: { scale, causal, windowLeft, windowRight, dropout: drops ? dropout : 0, seed: drops ? (seed as Seed) : 0 },
    terms: { alibiSlopes: alibiSlopes && constant(fn, alibiSlopes), bias },
  };
}

/** sizesOf — of checked q and k. */
export function sizesOf(q: Tensor, k: Tensor): AttentionSizes {
  const [batchSize, seqLen, numHeads, headDim] = q.shape as [number, number, number, number];
  return { batchSize, seqLen, kvLen: k.shape[1] as number, numHeads, headDim };
}

function checkSlopes(fn: string, slopes: Tensor, batchSize: number, numHeads: number): void {
  checkDtype(fn, 'alibiSlopes', slopes, 'float32');
  checkShape(fn, 'alibiSlopes', slopes, slopes.shape.length === 2 ? [batchSize, numHeads] : [numHeads]);
}

function checkBias(fn: string, bias: Tensor, full: readonly number[]): void {
  checkDtype(fn, 'bias', bias, 'float32');
  checkRank(fn, 'bias', bias, 4);
  if (bias.shape.every((size, axis) => size === 1 || size === full[axis])) return;
  throw new ShapeError(`${fn}: bias must have shape ${describeShape(full)}, each axis full or 1, got ${describeShape(bias.shape)}`);
}

/** `slopes`, from which no gradient may be asked. */
function constant(fn: string, slopes: Tensor): Tensor {
  return customGrad((x) => ({
    value: (x as Tensor).clone(),
    gradFunc: () => { throw new ConfigError(`${fn}: alibiSlopes must be constants, got a request for their gradient. Use bias for a learned one.`); },
  }))(slopes);
}

/** `tokens`, cut to `furthest`, from where it hides nothing: kernels add positions to it in 32 bits. */
function windowSide(fn: string, arg: string, tokens: number, furthest: number): number {
  if (tokens === Infinity) return -1;
  if (!Number.isInteger(tokens) || tokens < -1) throw new ConfigError(`${fn}: ${arg} must be an integer ≥ -1, got ${String(tokens)}`);
  return Math.min(tokens, furthest);
}

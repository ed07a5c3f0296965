import type { AttentionCallOptions, PackedAttentionSizes, Seed } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';

/** ScoreOptions — the options that the attention of whole batches and that of packed sequences share. */
export type ScoreOptions = AttentionCallOptions & {
  /** Factor of the scores; default 1/√headDim. */
  readonly scale?: number;
  /** `[left, right]`: query i sees keys from i + s − t − left to i + s − t + right. In tokens; −1 or Infinity = unlimited. */
  readonly window?: readonly [left: number, right: number];
  /** ALiBi: `h` or `b h`, float32. The score of query i and key j is lowered by slope · |i + s − t − j|. A constant: no gradient. */
  readonly alibiSlopes?: Tensor;
  /** Probability of dropping each attention weight; acts only with `train` and needs `seed`. Default 0. */
  readonly dropout?: number;
  /** Whether to return `{ out, lse }` instead of `out`. Default false. */
  readonly returnLse?: boolean;
};

export type FlashAttentionOptions = ScoreOptions & {
  /** Added to the scaled scores: float32 of rank 4, each axis either full or 1 in `b h t s`. Differentiable. */
  readonly bias?: Tensor;
  /** c > 0 keeps the scaled scores within ±c by c · tanh(score / c), before ALiBi and bias. Default 0: as they are. */
  readonly softcap?: number;
  /** Which tiles of the scores count: bool or int32, `⌈t/blockQ⌉ ⌈s/blockK⌉`, 0 = none of it. The same for every sequence and head. */
  readonly blockMask?: Tensor;
  /** `[blockQ, blockK]`: queries and keys of a tile of `blockMask`; default [64, 64]. */
  readonly blockSize?: readonly [blockQ: number, blockK: number];
  /** Which keys take part: bool or int32, `b s`, 0 = padding. */
  readonly keyPaddingMask?: Tensor;
};

/** ReturnStats — beside the options: whether to return `{ out, lse, rowMax, entropy }`. Default false. */
export type ReturnStats = { readonly returnStats?: boolean };

/** AttentionWithLse — the result, and the log-sum-exp of each query's scores, `b h t`, by which partial results are merged. */
export type AttentionWithLse = { out: Tensor; lse: Tensor };

/**
 * AttentionWithStats — the result, and per query, `b h t`, the log-sum-exp and the maximum of its scores and the entropy of its weights
 * (before dropout) in nats. Only `out` has a gradient. A query that sees no key has lse +Infinity, rowMax −Infinity and entropy 0.
 */
export type AttentionWithStats = AttentionWithLse & { rowMax: Tensor; entropy: Tensor };

/** AttentionResult — what a call gives where its options are not known to the compiler: which of the three `returnLse` and `returnStats` say. */
export type AttentionResult = Tensor | AttentionWithLse | AttentionWithStats;

/** FlashAttentionPackedOptions — those of `flashAttention`, and the numbers of heads. */
export type FlashAttentionPackedOptions = FlashAttentionOptions & PackedAttentionSizes;

/** AttentionTerms — tensors that change the scores. */
export type AttentionTerms = { alibiSlopes?: Tensor; bias?: Tensor };

export type AttentionInputs = AttentionTerms & { q: Tensor; k: Tensor; v: Tensor };

/** AttentionAttrs — what a kernel is told; −1 = unlimited. Weight i of `b h t s` is dropped by bits(i) of `seed`, none if `dropout` is 0. */
export type AttentionAttrs = { scale: number; causal: boolean; windowLeft: number; windowRight: number; dropout: number; seed: Seed };

/** GeneralTerms — the terms, and `blockMask: ⌈t/blockQ⌉ ⌈s/blockK⌉`, int32. */
export type GeneralTerms = AttentionTerms & { blockMask?: Tensor };

export type GeneralInputs = GeneralTerms & { q: Tensor; k: Tensor; v: Tensor };

/** GeneralAttrs — those of attention, `softcap` (0 = none), and the size of the tiles that `blockMask` is about. */
export type GeneralAttrs = AttentionAttrs & { softcap: number; blockQ: number; blockK: number };

/** AttentionSizes — b, t, s, h, d of a call. */
export type AttentionSizes = { batchSize: number; seqLen: number; kvLen: number; numHeads: number; headDim: number };

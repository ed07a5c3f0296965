import { checkInteger, checkRange } from '@evenkeel/core-tensor';

export type AttentionIoSizes = {
  /** Queries, and as many keys. */
  seqLen: number;
  headDim: number;
  /** Size of the fast memory in elements: headDim ≤ sramElements. */
  sramElements: number;
};

/**
 * attentionIoCount — elements moved between slow and fast memory by the forward pass of one attention head.
 *
 *     standard = 4·N·d + 4·N²                       q, k in, s out; s in, p out; p, v in, out out
 *     flash    = 2·N·d + T_c·(3·N·d + 4·N)          k, v once; per key tile: q and out in, out out, row maximum and sum in and out
 *     T_c = ⌈N / B_c⌉, B_c = ⌈M / 4d⌉
 *
 * @returns  `flash` and `standard`, in elements (4 bytes each in float32).
 * @throws ConfigError  if a size is not a positive integer, or the fast memory cannot hold one row.
 *
 * Source: Dao et al. 2022, arXiv:2205.14135, theorem 2 and algorithm 1.
 */
export function attentionIoCount({ seqLen, headDim, sramElements }: AttentionIoSizes = {} as never): { flash: number; standard: number } {
  checkInteger('attentionIoCount', 'seqLen', seqLen);
  checkInteger('attentionIoCount', 'headDim', headDim);
  checkInteger('attentionIoCount', 'sramElements', sramElements);
  checkRange('attentionIoCount', 'sramElements', sramElements, headDim, Number.MAX_SAFE_INTEGER);
  const tile = Math.ceil(sramElements / (4 * headDim));
  const tiles = Math.ceil(seqLen / tile);
  const matrix = seqLen * headDim;
  return { flash: 2 * matrix + tiles * (3 * matrix + 4 * seqLen), standard: 4 * matrix + 4 * seqLen ** 2 };
}

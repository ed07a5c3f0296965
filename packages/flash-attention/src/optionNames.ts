import { checkNames } from '@evenkeel/core-tensor';

/** SCORE_OPTIONS — the options that all functions share: `ScoreOptions`, as users write them. */
const SCORE_OPTIONS = ['scale', 'causal', 'window', 'alibiSlopes', 'dropout', 'train', 'seed', 'observe', 'returnLse'] as const;

/** OPTIONS — those of `flashAttention` and `attentionReference`. */
export const OPTIONS = [...SCORE_OPTIONS, 'bias', 'softcap', 'blockMask', 'blockSize', 'keyPaddingMask', 'returnStats'] as const;

/** PACKED_OPTIONS — those of `flashAttentionPacked`. */
export const PACKED_OPTIONS = ['numHeads', 'numKvHeads', ...OPTIONS] as const;

/** VARLEN_OPTIONS — those of `flashAttentionVarlen`. */
export const VARLEN_OPTIONS = [...SCORE_OPTIONS, 'maxSeqlenQ', 'maxSeqlenK'] as const;

/** checkOptionNames — that options have known names. `state`, which every layer may be told (`ApplyOptions`), is none of ours. */
export function checkOptionNames(fn: string, options: object, known: readonly string[]): void {
  const { state: _state, ...own } = options as { state?: unknown };
  checkNames(fn, own, known);
}

import { ConfigError } from '@evenkeel/core-tensor';

/** SCORE_OPTIONS — the options that all functions share: `ScoreOptions`, as users write them. */
const SCORE_OPTIONS = ['scale', 'causal', 'window', 'alibiSlopes', 'dropout', 'train', 'seed', 'observe', 'returnLse'] as const;

/** OPTIONS — those of `flashAttention` and `attentionReference`. */
export const OPTIONS = [...SCORE_OPTIONS, 'bias', 'softcap', 'blockMask', 'blockSize', 'keyPaddingMask', 'returnStats'] as const;

/** PACKED_OPTIONS — those of `flashAttentionPacked`. */
export const PACKED_OPTIONS = ['numHeads', 'numKvHeads', ...OPTIONS] as const;

/** VARLEN_OPTIONS — those of `flashAttentionVarlen`. */
export const VARLEN_OPTIONS = [...SCORE_OPTIONS, 'maxSeqlenQ', 'maxSeqlenK'] as const;

/** What every layer may be told (`ApplyOptions`) and attention has no use for. */
const FOR_OTHERS: readonly string[] = ['state', 'cuSeqlens'];

/**
 * checkNames — that options have known names: a mistyped one would be ignored. What is undefined may have any name.
 *
 * @throws ConfigError  if one is not among `known`.
 */
export function checkNames(fn: string, options: object, known: readonly string[]): void {
  for (const name in options) {
    if (known.includes(name) || FOR_OTHERS.includes(name) || (options as { [name: string]: unknown })[name] === undefined) continue;
    throw new ConfigError(`${fn}: options must be made of ${known.join(', ')}, got ${name}`);
  }
}

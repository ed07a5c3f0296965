export { flashAttention } from './flashAttention.ts';
export { flashAttentionPacked } from './flashAttentionPacked.ts';
export { flashAttentionVarlen } from './flashAttentionVarlen.ts';
export { mergeAttention } from './mergeAttention.ts';
export { attentionReference } from './attentionReference.ts';
export { attentionIoCount, type AttentionIoSizes } from './attentionIoCount.ts';
export { alibiSlopesFor } from './alibiSlopesFor.ts';
export type { AttentionResult, AttentionWithLse, AttentionWithStats, FlashAttentionOptions, FlashAttentionPackedOptions, ScoreOptions } from './options.ts';
export type { CuSeqlens, FlashAttentionVarlenOptions } from './varlenOptions.ts';

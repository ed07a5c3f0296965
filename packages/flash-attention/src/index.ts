export { flashAttention } from './flashAttention.ts';
export { flashAttentionPacked } from './flashAttentionPacked.ts';
export { attentionReference } from './attentionReference.ts';
export { attentionIoCount, type AttentionIoSizes } from './attentionIoCount.ts';
export type { AttentionWithLse, FlashAttentionOptions, FlashAttentionPackedOptions } from './options.ts';

export { flashAttention } from './flashAttention.ts';
export { attentionReference } from './attentionReference.ts';
export { attentionIoCount, type AttentionIoSizes } from './attentionIoCount.ts';
export type { AttentionWithLse, FlashAttentionOptions } from './options.ts';

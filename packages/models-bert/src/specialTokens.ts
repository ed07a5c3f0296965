import { ConfigError } from '@evenkeel/core-tensor';

/** SpecialTokens — the ids of the tokens that are no text. */
export type SpecialTokens = { readonly clsId: number; readonly sepId: number; readonly padId: number; readonly unkId?: number; readonly maskId?: number };

/**
 * specialTokens — BERT's or RoBERTa's special tokens of a tokenizer.
 *
 * @param where  what an error says that the tokenizer is in.
 * @throws ConfigError  unless it has those that every sequence needs.
 */
export function specialTokens({ tokenToId }: { tokenToId(token: string): number | undefined }, where?: string): SpecialTokens {
  const idOf = (...names: string[]): number | undefined => names.map((name) => tokenToId(name)).find((id) => id !== undefined);
  const [clsId, sepId, padId] = [idOf('[CLS]', '<s>'), idOf('[SEP]', '</s>'), idOf('[PAD]', '<pad>')];
  const [unkId, maskId] = [idOf('[UNK]', '<unk>'), idOf('[MASK]', '<mask>')];
  if (clsId === undefined || sepId === undefined || padId === undefined) {
    throw new ConfigError(`the tokenizer must have [CLS], [SEP] and [PAD], or <s>, </s> and <pad>, got not all of them${where === undefined ? '' : ` in ${where}`}`);
  }
  return { clsId, sepId, padId, ...(unkId !== undefined && { unkId }), ...(maskId !== undefined && { maskId }) };
}

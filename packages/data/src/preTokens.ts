import type { AddedToken } from './tokenizer.ts';

/** GPT2_WORDS — how GPT-2 cuts text into words before it merges bytes. Every character belongs to exactly one word. */
export const GPT2_WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** forEachWord — calls `onWord` for each word of `text` in order. */
export function forEachWord(text: string, onWord: (word: string) => void): void {
  const words = new RegExp(GPT2_WORDS);
  for (let found = words.exec(text); found !== null; found = words.exec(text)) onWord(found[0]);
}

/** Section — a stretch of text, or one added token. */
export type Section = { readonly text: string; readonly id?: number };

/**
 * addedTokenSplitter — cuts added tokens out of a text: at each place the longest that stands there.
 *
 * @returns a function from a text to its sections, which together are the text.
 */
export function addedTokenSplitter(tokens: readonly Pick<AddedToken, 'id' | 'content'>[]): (text: string) => Section[] {
  if (tokens.length === 0) return (text) => [{ text }];
  const ids = new Map(tokens.map(({ content, id }) => [content, id]));
  const longestFirst = [...ids.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(`(${longestFirst.map((content) => content.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')).join('|')})`);
  return (text) => text.split(pattern).map((part, i) => (i % 2 === 1 ? { text: part, id: ids.get(part) as number } : { text: part }));
}

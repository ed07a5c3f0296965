/** Runs of letters, digits and marks, and everything else but spaces by itself. */
const WORD = /[\p{L}\p{M}\p{N}]+|[^\s\p{L}\p{M}\p{N}]/gu;

/** splitWords — the words of a text: runs of letters, digits and marks, and everything else but spaces by itself; each from where to where, in UTF-16 code units. */
export const splitWords = (text: string): (readonly [start: number, end: number])[] => [...text.matchAll(WORD)].map(({ 0: word, index }) => [index, index + word.length]);

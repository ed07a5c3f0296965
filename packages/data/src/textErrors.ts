import { ConfigError } from '@evenkeel/core-tensor';
import type { TextOrigin } from './tokenizer.ts';

const LONGEST = 120;

/** quoteText — text from a file for an error message: quoted, on one line, at most 120 characters. */
export function quoteText(text: string): string {
  const quoted = JSON.stringify(text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
  return quoted.replace(/[\u007f-\u009f\u2028\u2029]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** missingCharacter — the error for a character without a token: the character, its code point, its place in the text. */
export function missingCharacter(fn: string, text: string, position: number, origin: TextOrigin = { position: 0, line: 1 }): ConfigError {
  const code = text.codePointAt(position) ?? 0;
  const name = `${quoteText(String.fromCodePoint(code))} (U+${code.toString(16).toUpperCase().padStart(4, '0')})`;
  const line = origin.line + countLines(text.slice(0, position));
  return new ConfigError(`${fn}: text must hold only characters of the tokenizer, got ${name} at position ${origin.position + position}, line ${line}`);
}

/** countLines — how many lines end in `text`. */
export const countLines = (text: string): number => text.split('\n').length - 1;

/** checkWellFormed — throws ConfigError if `text` holds half of a surrogate pair, which no UTF-8 text can. */
export function checkWellFormed(fn: string, text: string): void {
  const position = text.search(/\p{Surrogate}/u);
  if (position < 0) return;
  const unit = text.charCodeAt(position).toString(16).toUpperCase();
  throw new ConfigError(`${fn}: text must be well-formed, got half a surrogate pair (U+${unit}) at position ${position}`);
}

/** piecesIn — a corpus as pieces: a string is one. */
export function piecesIn(text: string | Iterable<string>): Iterable<string> {
  return typeof text === 'string' ? [text] : text;
}

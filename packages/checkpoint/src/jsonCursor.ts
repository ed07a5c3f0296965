import { ConfigError } from '@evenkeel/core-tensor';
import { isWellFormed, quoteName } from './text.ts';

/**
 * JsonCursor — reads JSON of a known form from front to back.
 *
 * `JSON.parse` keeps the last of two equal keys and builds whatever the text asks for before anybody looks at it. Here the
 * reader says what it expects next, so a hostile header fails at its first wrong character, and equal keys are an error.
 */
export type JsonCursor = {
  /** Reads an object; `onMember(key)` must read the value. Throws on a repeated key. */
  object(onMember: (key: string) => void): void;
  /** Reads an array; `onItem()` must read one item. */
  array(onItem: () => void): void;
  string(): string;
  /** Reads an integer ≥ 0 written with digits only. */
  integer(): number;
  /** Reads any value and forgets it. */
  skip(): void;
  /** Only white space may follow. */
  end(): void;
};

const DEEPEST = 64;
const SPACES = [0x20, 0x09, 0x0a, 0x0d];
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /(?:true|false|null)/y;

/**
 * jsonCursor — a cursor at the start of `text`.
 *
 * @param where  how an error begins, for example `readSafetensors: header of /runs/a/model.safetensors`.
 * @throws ConfigError  from every method, at the first character that is not what is expected.
 */
export function jsonCursor(where: string, text: string): JsonCursor {
  let position = 0;

  const fail = (expected: string): never => {
    const got = position < text.length ? quoteName(String.fromCodePoint(text.codePointAt(position) as number)) : 'its end';
    throw new ConfigError(`${where} must be JSON with ${expected} at character ${position}, got ${got}`);
  };
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = position;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) position += found.length;
    return found;
  };
  const peek = (): string | undefined => {
    while (SPACES.includes(text.charCodeAt(position))) position++;
    return text[position];
  };
  const take = (char: string, otherwise?: string): void => {
    if (peek() !== char) fail(otherwise === undefined ? `"${char}"` : `"${char}" or "${otherwise}"`);
    position++;
  };

  const string = (): string => {
    if (peek() !== '"') fail('a string');
    const start = position;
    const end = closingQuote(text, start);
    const value = end === undefined ? undefined : unquote(text.slice(start, end + 1));
    if (end === undefined || value === undefined) return fail('a well-formed string');
    position = end + 1;
    return value;
  };

  const integer = (): number => {
    const first = peek();
    const start = position;
    let value = 0;
    for (let digit = digitAt(text, position); digit >= 0; digit = digitAt(text, ++position)) value = value * 10 + digit;
    const written = position - start;
    const sound = written > 0 && (first !== '0' || written === 1) && !'.eE'.includes(text[position] ?? ' ');
    if (sound && Number.isSafeInteger(value)) return value;
    position = start;
    return fail(sound ? 'an integer below 2^53' : 'an integer ≥ 0');
  };

  const list = (open: string, close: string, onItem: () => void): void => {
    take(open);
    if (peek() === close) return take(close);
    for (;;) {
      onItem();
      if (peek() === close) return take(close);
      take(',', close);
    }
  };

  const object = (onMember: (key: string) => void): void => {
    const seen = new Set<string>();
    list('{', '}', () => {
      const key = string();
      if (seen.has(key)) throw new ConfigError(`${where} must hold each name once, got ${quoteName(key)} twice`);
      seen.add(key);
      take(':');
      onMember(key);
    });
  };

  const array = (onItem: () => void): void => list('[', ']', onItem);

  const skip = (depth = 0): void => {
    const next = peek();
    if (depth > DEEPEST) fail(`at most ${DEEPEST} levels`);
    if (next === '{') object(() => skip(depth + 1));
    else if (next === '[') array(() => skip(depth + 1));
    else if (next === '"') string();
    else if ((match(WORD) ?? match(NUMBER)) === undefined) fail('a value');
  };

  const end = (): void => {
    if (peek() !== undefined) fail('nothing more');
  };

  return { object, array, string, integer, skip: () => skip(), end };
}

/** The digit at `position`, or −1. */
function digitAt(text: string, position: number): number {
  const digit = text.charCodeAt(position) - 0x30;
  return digit >= 0 && digit <= 9 ? digit : -1;
}

/** Where the string that opens at `start` closes; `undefined` if it does not. */
function closingQuote(text: string, start: number): number | undefined {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return at;
    if (code === 0x5c) at++;
  }
  return undefined;
}

/** The value of a quoted string; `undefined` for a bad escape, a control character or half a surrogate pair. */
function unquote(quoted: string): string | undefined {
  try {
    const value = JSON.parse(quoted) as string;
    return isWellFormed(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

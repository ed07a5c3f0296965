import { ConfigError } from '@evenkeel/core-tensor';

/** TokenSource — a long sequence of token ids, in memory or in a file. */
export type TokenSource = {
  readonly length: number;
  /** Copies the tokens from `start` on into `out`, which must not reach beyond the end. */
  read(start: number, out: Int32Array): void;
};

/** Tokens — what batches are made from: a source, or the ids themselves. */
export type Tokens = TokenSource | Int32Array | Uint16Array | readonly number[];

/** tokenSource — `tokens` as a source; ids in an array are not copied. */
export function tokenSource(tokens: Tokens): TokenSource {
  return 'read' in tokens ? tokens : part(tokens.length, (start, out) => {
    for (let i = 0; i < out.length; i++) out[i] = tokens[start + i] as number;
  });
}

/** A source of `length` tokens whose reads are checked. */
export function part(length: number, read: (start: number, out: Int32Array) => void): TokenSource {
  return {
    length,
    read: (start, out) => {
      if (!Number.isSafeInteger(start) || start < 0 || start + out.length > length) {
        throw new ConfigError(`read: tokens must be within 0 … ${length}, got ${start} … ${start + out.length}`);
      }
      read(start, out);
    },
  };
}

/**
 * splitTokens — the first part of the tokens for training, the rest for validation.
 *
 * @param valFraction  in [0, 1): the share of the tokens at the end that is kept for validation.
 * @returns            two views; nothing is copied.
 * @throws ConfigError  if `valFraction` is out of range.
 */
export function splitTokens(tokens: Tokens, valFraction: number): { train: TokenSource; val: TokenSource } {
  if (!(valFraction >= 0 && valFraction < 1)) throw new ConfigError(`splitTokens: valFraction must be in [0, 1), got ${valFraction}`);
  const source = tokenSource(tokens);
  const trainLength = Math.floor(source.length * (1 - valFraction));
  return {
    train: part(trainLength, (start, out) => source.read(start, out)),
    val: part(source.length - trainLength, (start, out) => source.read(trainLength + start, out)),
  };
}

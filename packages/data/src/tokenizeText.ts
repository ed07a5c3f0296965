import { piecesOf, type ReadTextOptions } from './readText.ts';
import { saveTokens } from './tokenFile.ts';
import { countLines } from './textErrors.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * tokenizeText — encodes a file or directory of text into a token file, piece by piece, so that neither the text nor its tokens
 * need to fit into memory. A tokenizer that is not `piecewise` gets the whole text at once.
 *
 * @param path       as for `readText`.
 * @param tokenizer  must have a token for every character of the text.
 * @param out        the token file, for `openTokens`; written atomically.
 * @returns          the number of tokens.
 * @throws ConfigError  as `readText`, `encode` and `writeTokens`.
 */
export async function tokenizeText(path: string | readonly string[], tokenizer: Tokenizer, out: string, options: ReadTextOptions = {}): Promise<number> {
  const pieces = piecesOf('tokenizeText', path, options);
  const texts = tokenizer.piecewise ? pieces : [[...pieces].join('')];
  return saveTokens('tokenizeText', out, encodeEach(texts, tokenizer), tokenizer.vocabSize);
}

function* encodeEach(texts: Iterable<string>, tokenizer: Tokenizer): Generator<Int32Array> {
  let origin = { position: 0, line: 1 };
  for (const text of texts) {
    yield tokenizer.encode(text, { origin });
    origin = { position: origin.position + text.length, line: origin.line + countLines(text) };
  }
}

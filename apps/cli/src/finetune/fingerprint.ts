import { createHash } from 'node:crypto';
import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** fingerprintOf — changes when the content of one of the files does. */
export async function fingerprintOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) for await (const chunk of createReadStream(file)) hash.update(chunk as Uint8Array);
  return hash.digest('hex').slice(0, 32);
}

/** What a model is made of: its configuration, its weights in one file or several, and its tokenizer in any form. */
const PARTS = /^((config|tokenizer|tokenizer_config|vocab)\.json|(vocab|merges)\.txt|.*\.safetensors(\.index\.json)?)$/;

/** checkpointFingerprint — changes when a model or its tokenizer does. */
export const checkpointFingerprint = (directory: string): Promise<string> =>
  fingerprintOf(readdirSync(directory).filter((name) => PARTS.test(name)).sort().map((name) => join(directory, name)));

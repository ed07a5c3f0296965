import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';

/** fingerprintOf — changes when the content of one of the files does. */
export async function fingerprintOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) for await (const chunk of createReadStream(file)) hash.update(chunk as Uint8Array);
  return hash.digest('hex').slice(0, 32);
}

/** checkpointFingerprint — changes when a model does. */
export const checkpointFingerprint = (directory: string): Promise<string> =>
  fingerprintOf(['config.json', 'model.safetensors', 'model.safetensors.index.json'].map((name) => join(directory, name)).filter((path) => existsSync(path)));

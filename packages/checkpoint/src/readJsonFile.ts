import { ConfigError } from '@evenkeel/core-tensor';
import { fileSource } from './byteSource.ts';

const MAX_JSON_BYTES = 100_000_000;

/**
 * readJsonFile — the parsed content of a JSON file, such as a checkpoint's `config.json`.
 *
 * @throws ConfigError       if the file cannot be read, is over 100 MB, or is not JSON; the message names the path.
 * @throws UnsupportedError  outside Node.
 */
export async function readJsonFile(path: string): Promise<unknown> {
  const text = await readTextFile('readJsonFile', path);
  try {
    return JSON.parse(text);
  } catch (error) {
    const problem = (error as Error).message.replace(/\s+/g, ' ').slice(0, 200);
    throw new ConfigError(`readJsonFile: ${path} must be JSON, got: ${problem}`, { cause: error });
  }
}

/** readTextFile — a UTF-8 file of at most 100 MB, on behalf of `fn`. */
export async function readTextFile(fn: string, path: string): Promise<string> {
  const source = await fileSource(fn, path);
  try {
    if (source.byteLength > MAX_JSON_BYTES) {
      throw new ConfigError(`${fn}: ${path} must have at most ${MAX_JSON_BYTES} bytes, got ${source.byteLength}`);
    }
    return new TextDecoder().decode(await source.read(0, source.byteLength));
  } finally {
    await source.close();
  }
}

import { ConfigError } from '@evenkeel/core-tensor';
import { nodeModules, reasonOf } from './nodeFs.ts';

const MAX_JSON_BYTES = 100_000_000;

/**
 * readJsonFile — the parsed content of a JSON file, such as a checkpoint's `config.json`.
 *
 * @throws ConfigError       if the file cannot be read, is over 100 MB, or is not JSON; the message names the path.
 * @throws UnsupportedError  outside Node.
 */
export async function readJsonFile(path: string): Promise<unknown> {
  const { fs } = nodeModules('readJsonFile');
  const text = await readSmallFile(fs, path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`readJsonFile: ${path} must be JSON, got: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function readSmallFile(fs: ReturnType<typeof nodeModules>['fs'], path: string): Promise<string> {
  try {
    const { size } = await fs.promises.stat(path);
    if (size > MAX_JSON_BYTES) throw new ConfigError(`readJsonFile: ${path} must have at most ${MAX_JSON_BYTES} bytes, got ${size}`);
    return await fs.promises.readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`readJsonFile: ${path} must be readable, got ${reasonOf(error)}`, { cause: error });
  }
}

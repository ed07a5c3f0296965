import { ConfigError } from '@evenkeel/core-tensor';
import { nodeModules, reasonOf } from './nodeFs.ts';

/**
 * makeDirectory — makes a directory, and those above it, unless it is there.
 *
 * @throws ConfigError       naming path and reason.
 * @throws UnsupportedError  outside Node.
 */
export async function makeDirectory(path: string): Promise<void> {
  const { fs } = nodeModules('makeDirectory');
  await fs.promises.mkdir(path, { recursive: true }).catch((error: unknown) => {
    throw new ConfigError(`makeDirectory: ${path} must be a directory, or a path where one can be made, got ${reasonOf(error)}`, { cause: error });
  });
}

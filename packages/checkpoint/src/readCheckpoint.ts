import type { SafetensorsFile } from './openSafetensors.ts';
import { readJsonFile } from './readJsonFile.ts';
import { openStateDict } from './stateDict.ts';

/**
 * readCheckpoint — what `read` makes of a directory as Hugging Face lays a model out: the parsed `config.json`, and the tensors, sharded or not, which
 * are open until it has ended.
 *
 * @throws ConfigError  if a file is missing or damaged (see `readJsonFile`, `openStateDict`), and what `read` throws.
 */
export async function readCheckpoint<T>(directory: string, read: (config: unknown, file: SafetensorsFile) => Promise<T>): Promise<T> {
  const config = await readJsonFile(`${directory}/config.json`);
  const file = await openStateDict(directory);
  try {
    return await read(config, file);
  } finally {
    await file.close();
  }
}

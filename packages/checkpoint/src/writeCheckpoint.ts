import { atomicWriteFile } from './atomicWriteFile.ts';
import type { Entries } from './entry.ts';
import { makeDirectory } from './makeDirectory.ts';
import { writeSafetensors } from './writeSafetensors.ts';

/**
 * writeCheckpoint — `model.safetensors` and then `config.json` as Hugging Face lays a model out, each written atomically.
 *
 * @param directory  is made if it is not there.
 * @throws ConfigError, UnsupportedError  as `writeSafetensors`.
 */
export async function writeCheckpoint(directory: string, { config, entries }: { config: object; entries: Entries }): Promise<void> {
  await makeDirectory(directory);
  await writeSafetensors(`${directory}/model.safetensors`, entries);
  await atomicWriteFile(`${directory}/config.json`, `${JSON.stringify(config, null, 2)}\n`);
}

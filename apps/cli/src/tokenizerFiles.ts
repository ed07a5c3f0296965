import { join } from 'node:path';
import { atomicWriteFile } from '@evenkeel/checkpoint';
import type { Tokenizer } from '@evenkeel/data';

/** saveTokenizer — `tokenizer.json` and `tokenizer_config.json`, for Hugging Face's libraries too. */
export async function saveTokenizer({ json, config }: Pick<Tokenizer, 'json' | 'config'>, directory: string): Promise<void> {
  await atomicWriteFile(join(directory, 'tokenizer.json'), `${JSON.stringify(json, null, 1)}\n`);
  await atomicWriteFile(join(directory, 'tokenizer_config.json'), `${JSON.stringify(config, null, 2)}\n`);
}

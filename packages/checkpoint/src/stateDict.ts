import { ConfigError } from '@evenkeel/core-tensor';
import { emptyRecord, type SafetensorsEntry } from './entry.ts';
import { jsonCursor } from './jsonCursor.ts';
import { nodeModules } from './nodeFs.ts';
import { openNamed, readAll, type SafetensorsFile } from './openSafetensors.ts';
import { readTextFile } from './readJsonFile.ts';
import { quoteName } from './text.ts';

const SINGLE_FILES = ['model.safetensors', 'diffusion_pytorch_model.safetensors'];

/**
 * openStateDict — opens a checkpoint as Hugging Face lays it out; its tensors are read one by one.
 *
 * @param path  a directory with `model.safetensors`, or with `model.safetensors.index.json` and the shards it names; or one of
 *              those files itself.
 * @throws ConfigError  if there is no checkpoint, an index names a file outside the directory or a tensor that its shard lacks,
 *                      or a file breaks a rule of the format.
 */
export async function openStateDict(path: string): Promise<SafetensorsFile> {
  return openCheckpoint('openStateDict', path);
}

/**
 * loadStateDict — reads all tensors of a checkpoint as Hugging Face lays it out.
 *
 * @param path  as for `openStateDict`.
 * @returns     entries by name, in the names and dtypes of the files.
 */
export async function loadStateDict(path: string): Promise<Record<string, SafetensorsEntry>> {
  const checkpoint = await openCheckpoint('loadStateDict', path);
  try {
    return await readAll(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

async function openCheckpoint(fn: string, path: string): Promise<SafetensorsFile> {
  const file = findCheckpoint(fn, path);
  return file.endsWith('.index.json') ? openShards(fn, file) : openNamed(fn, file);
}

function findCheckpoint(fn: string, path: string): string {
  const { fs, path: paths } = nodeModules(fn);
  const stats = fs.statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new ConfigError(`${fn}: ${path} must be a checkpoint, got no such file or directory`);
  if (!stats.isDirectory()) return path;
  const candidates = SINGLE_FILES.flatMap((file) => [file, `${file}.index.json`]);
  const found = candidates.map((file) => paths.join(path, file)).find((file) => fs.existsSync(file));
  if (found !== undefined) return found;
  throw new ConfigError(`${fn}: ${path} must hold ${SINGLE_FILES[0]} or ${SINGLE_FILES[0]}.index.json, got neither. Convert .bin files to safetensors first.`);
}

async function openShards(fn: string, indexPath: string): Promise<SafetensorsFile> {
  const { path: paths } = nodeModules(fn);
  const fileOf = parseShardIndex(`${fn}: ${indexPath}`, await readTextFile(fn, indexPath));
  const shards = new Map<string, SafetensorsFile>();
  const close = async (): Promise<void> => {
    for (const shard of shards.values()) await shard.close();
  };
  const shardOf = (name: string): SafetensorsFile => {
    const shard = shards.get(fileOf.get(name) ?? '');
    if (shard === undefined) throw new ConfigError(`${fn}: ${indexPath} must name a tensor ${quoteName(name)}, got none of that name`);
    return shard;
  };
  const metadata = emptyRecord<string>();
  try {
    for (const [name, file] of fileOf) {
      const shard = shards.get(file) ?? (await openNamed(fn, paths.join(paths.dirname(indexPath), file)));
      shards.set(file, shard);
      Object.assign(metadata, shard.metadata);
      shard.info(name);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { names: [...fileOf.keys()], metadata, info: (name) => shardOf(name).info(name), read: async (name) => shardOf(name).read(name), close };
}

/** The `weight_map` of an index: which file holds which tensor. Files must be plain names, so that nothing outside is read. */
function parseShardIndex(where: string, text: string): Map<string, string> {
  const cursor = jsonCursor(where, text);
  const fileOf = new Map<string, string>();
  cursor.object((key) => {
    if (key !== 'weight_map') return cursor.skip();
    cursor.object((name) => {
      const file = cursor.string();
      if (!/^[^/\\:\0]+\.safetensors$/.test(file)) {
        throw new ConfigError(`${where}: weight_map must name .safetensors files of its own directory, got ${quoteName(file)}`);
      }
      fileOf.set(name, file);
    });
  });
  cursor.end();
  if (fileOf.size === 0) throw new ConfigError(`${where} must have a weight_map that names tensors, got none`);
  return fileOf;
}

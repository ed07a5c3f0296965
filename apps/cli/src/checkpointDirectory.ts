import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonFile } from '@evenkeel/checkpoint';
import { loadTokenizer, type Tokenizer } from '@evenkeel/data';
import { UsageError } from './errors.ts';

/** checkCheckpointDirectory — that `--checkpoint` names a directory with a model, before a device is opened for it. */
export function checkCheckpointDirectory(directory: string, kind = 'GPT-2'): void {
  const expected = `--checkpoint must be a run directory or a Hugging Face ${kind} directory`;
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) throw new UsageError(`${expected}, got ${directory}, which does not exist`);
  if (!stat.isDirectory()) throw new UsageError(`${expected}, got the file ${directory}`);
  if (!existsSync(join(directory, 'config.json'))) throw new UsageError(`${expected}, got ${directory}, which has no config.json`);
  const weights = ['model.safetensors', 'model.safetensors.index.json'].some((name) => existsSync(join(directory, name)));
  if (!weights) throw new UsageError(`${expected}, got ${directory}, which has no model.safetensors (yet)`);
}

/**
 * checkGpt — that `--checkpoint` names a directory with a GPT.
 *
 * @throws UsageError  also if it has another model, which `predict` uses.
 */
export async function checkGpt(directory: string): Promise<void> {
  checkCheckpointDirectory(directory);
  const kind = kindIn(await readJsonFile(join(directory, 'config.json')) as ConfigFile);
  if (kind !== undefined) throw new UsageError(`--checkpoint must be a GPT, got a model that reads ${kind === 'text' ? 'texts, such as BERT,' : 'images, such as ViT,'} in ${directory}: use predict`);
}

/** loadTokenizerOf — the tokenizer beside a checkpoint: `tokenizer.json`, GPT-2's older pair of files or BERT's `vocab.txt`. */
export async function loadTokenizerOf(directory: string, why: string): Promise<Tokenizer> {
  const found = ['tokenizer.json', 'vocab.json', 'vocab.txt'].some((name) => existsSync(join(directory, name)));
  if (!found) throw new UsageError(`${why} needs a tokenizer, got ${directory}, which has no tokenizer.json`);
  return await loadTokenizer(directory);
}

/** endOfText — the token that ends a text, if `config.json` names one that the model has. */
export async function endOfText(directory: string, vocabSize: number): Promise<number | undefined> {
  const { eos_token_id: id } = await readJsonFile(join(directory, 'config.json')) as { eos_token_id?: unknown };
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize ? id : undefined;
}

/** CheckpointKind — what a model reads: `text` for an encoder, `image`, or nothing that can be fine-tuned here. */
export type CheckpointKind = 'text' | 'image';

const KINDS: Readonly<Record<string, CheckpointKind>> = { bert: 'text', roberta: 'text', 'evenkeel-bert': 'text', vit: 'image', deit: 'image', 'evenkeel-vit': 'image' };

type ConfigFile = { readonly model_type?: unknown; readonly architecture?: unknown } | null;

/** By the names of Hugging Face and timm, or ours. */
const kindIn = (json: ConfigFile): CheckpointKind | undefined => KINDS[String(json?.model_type)] ?? (/^(vit|deit)_/.test(String(json?.architecture)) ? 'image' : undefined);

/**
 * checkpointKind — what the model in a directory reads, by its `config.json`.
 *
 * @throws UsageError  if it is of another architecture.
 */
export async function checkpointKind(directory: string): Promise<CheckpointKind> {
  const json = await readJsonFile(join(directory, 'config.json')) as ConfigFile;
  const kind = kindIn(json);
  if (kind !== undefined) return kind;
  const found = json?.model_type ?? json?.architecture;
  throw new UsageError(`--checkpoint must be a BERT, RoBERTa, ViT or DeiT, got ${found === undefined ? 'no model_type' : `the architecture ${String(found)}`} in ${join(directory, 'config.json')}`);
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { dispose, type Variable } from '@tensorflow/tfjs-core';
import { readJsonFile } from '@evenkeel/checkpoint';
import { ConfigError, treeEntries, treeFromEntries, type Params } from '@evenkeel/core-tensor';
import { lora } from '@evenkeel/layers';
import { loadLora, type BertHeadKind, type HeadedParams } from '@evenkeel/models-bert';
import { specialsOf } from '../bert/encoding.ts';
import type { HeadSays } from '../bert/bertModel.ts';
import { loadBertModel, type SavedBert } from '../bert/savedBert.ts';
import { checkCheckpointDirectory, checkpointKind, loadTokenizerOf } from '../checkpointDirectory.ts';
import { isCount, isObject, isText, type Fields } from '../fields.ts';
import { ADAPTER_HEAD, ADAPTERS } from '../finetune/tunedBert.ts';
import type { Words } from '../finetune/textClassification.ts';
import { loadVitModel, type SavedVit } from '../vit/savedVit.ts';

/** Predictor — a model to be used, with what it needs; its parameters are the caller's. */
export type Predictor = ({ readonly reads: 'text'; readonly kind: BertHeadKind } & SavedBert & Words) | ({ readonly reads: 'image' } & SavedVit);

/** checkPredictor — that `--checkpoint` names a directory with a model, or with adapters of one; what the model reads. */
export async function checkPredictor(directory: string): Promise<Predictor['reads']> {
  if (existsSync(join(directory, ADAPTERS))) return 'text';
  checkCheckpointDirectory(directory, 'BERT, RoBERTa, ViT or DeiT');
  return checkpointKind(directory);
}

/** openPredictor — the model in a directory: of `train` or `finetune`, of Hugging Face or timm; or adapters, with the model they belong to. */
export async function openPredictor(directory: string): Promise<Predictor> {
  if (await checkPredictor(directory) === 'image') return { reads: 'image', ...await loadVitModel(directory) };
  const saved = existsSync(join(directory, ADAPTERS)) ? await withAdapters(directory) : await loadBertModel(directory);
  const tokenizer = await loadTokenizerOf(directory, 'predict');
  return { reads: 'text', kind: saved.model.kind, ...saved, tokenizer, specials: specialsOf(tokenizer, directory) };
}

/** The model that adapters belong to, with them and their head in place. */
async function withAdapters(directory: string): Promise<SavedBert> {
  const config = await readJsonFile(join(directory, ADAPTERS)) as Fields;
  const head: unknown = await readJsonFile(join(directory, ADAPTER_HEAD));
  const [base, rank] = [config['base_model_name_or_path'], config['r']];
  if (!isText(base) || !isCount(rank)) throw new ConfigError(`predict: ${join(directory, ADAPTERS)} must name base_model_name_or_path and r, got ${JSON.stringify(base)} and ${JSON.stringify(rank)}`);
  if (!isObject(head)) throw new ConfigError(`predict: ${join(directory, ADAPTER_HEAD)} must say what the adapters are for, got ${JSON.stringify(head)}`);
  checkCheckpointDirectory(base as string, 'BERT or RoBERTa');
  const names = head['id2label'];
  const classes = isObject(names) ? Object.keys(names).map((_, i) => String(names[String(i)])) : undefined;
  const loaded = await loadBertModel(base as string, { head: head as HeadSays, ...(classes && { classes }), linear: lora({ rank: rank as number }) });
  const { model, params, family } = loaded;
  const trained = await loadLora(directory, model, { family });
  const entries = treeEntries<Variable>(params);
  dispose(entries.flatMap(([path, variable]) => (Object.hasOwn(trained, path) ? [variable] : [])));
  return {
    ...loaded, params: treeFromEntries(model.specs, entries.map(([path, variable]) => [path, trained[path] ?? variable] as [string, Variable])) as Params & HeadedParams,
    ...(classes && { classes }),
  };
}

import { lora } from '@evenkeel/layers';
import { loadLora, specialTokens, type BertHeadKind } from '@evenkeel/models-bert';
import { loadVitLora } from '@evenkeel/models-vit';
import type { HeadSays } from '../bert/bertModel.ts';
import { loadBertModel, type SavedBert } from '../bert/savedBert.ts';
import { checkCheckpointDirectory, checkpointKind, loadTokenizerOf } from '../checkpointDirectory.ts';
import { hasAdapters, readAdapterInfo, withAdapters, type AdapterInfo } from '../finetune/adapters.ts';
import type { Words } from '../finetune/textClassification.ts';
import { loadVitModel, type SavedVit } from '../vit/savedVit.ts';

/** Predictor — a model to be used, with what it needs; its parameters are the caller's. */
export type Predictor = ({ readonly reads: 'text'; readonly kind: BertHeadKind } & SavedBert & Words) | ({ readonly reads: 'image' } & SavedVit);

/** FoundModel — what `--checkpoint` names, before anything large is read: what the model reads, and the adapters, if it is those. */
export type FoundModel = { readonly reads: Predictor['reads']; readonly adapters?: AdapterInfo };

/** findModel — checks that a directory holds a model, or adapters of one. */
export async function findModel(directory: string): Promise<FoundModel> {
  const adapters = hasAdapters(directory) ? await readAdapterInfo(directory) : undefined;
  const model = adapters?.base ?? directory;
  checkCheckpointDirectory(model, 'BERT, RoBERTa, ViT or DeiT');
  return { reads: await checkpointKind(model), ...(adapters && { adapters }) };
}

/** openPredictor — the model in a directory: of `train` or `finetune`, of Hugging Face or timm; or adapters, with the model they belong to. */
export async function openPredictor(directory: string, { reads, adapters }: FoundModel): Promise<Predictor> {
  if (reads === 'image') return { reads, ...(adapters === undefined ? await loadVitModel(directory) : await adaptedVit(directory, adapters)) };
  const saved = adapters === undefined ? await loadBertModel(directory) : await adaptedBert(directory, adapters);
  const tokenizer = await loadTokenizerOf(directory, 'predict');
  return { reads, kind: saved.model.kind, ...saved, tokenizer, specials: specialTokens(tokenizer, directory) };
}

async function adaptedBert(directory: string, { base, rank, head, classes }: AdapterInfo): Promise<SavedBert> {
  const loaded = await loadBertModel(base, { head: head as HeadSays, ...(classes && { classes }), linear: lora({ rank }) });
  const { model, params, family } = loaded;
  return { ...loaded, params: withAdapters(model.specs, params, await loadLora(directory, model, { family })), ...(classes && { classes }) };
}

async function adaptedVit(directory: string, { base, rank, classes = [] }: AdapterInfo): Promise<SavedVit> {
  const loaded = await loadVitModel(base, { numClasses: classes.length, linear: lora({ rank }) });
  const { model, params } = loaded;
  return { ...loaded, params: withAdapters(model.specs, params, await loadVitLora(directory, model)), classes };
}

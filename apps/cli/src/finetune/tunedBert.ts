import { join as joinPath } from 'node:path';
import { dispose, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { atomicWriteFile } from '@evenkeel/checkpoint';
import { foldSeed, treeEntries, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import type { Tokenizer } from '@evenkeel/data';
import { isAdapter, lora, splitParams } from '@evenkeel/layers';
import { fineTuningOptimizer, fineTuningSchedule, saveLora, type HeadedParams } from '@evenkeel/models-bert';
import type { AnyBert, HeadSays } from '../bert/bertModel.ts';
import { loadBertModel, saveBertModel, type SavedBert } from '../bert/savedBert.ts';
import { saveTokenizer } from '../tokenizerFiles.ts';
import { formatCount } from '../format.ts';
import { parameterCount } from '../statistics.ts';
import type { Task } from '../task.ts';
import type { FinetuneSettings } from './finetuneSettings.ts';
import { rateFor, recipeOf } from './recipes.ts';

/** TunedBert — an encoder that is fine-tuned: all of it, or adapters and head. */
export type TunedBert = {
  readonly model: AnyBert;
  readonly params: Params & HeadedParams;
  readonly hasSegments: boolean;
  readonly contextLength: number;
  /** What a task is made of besides its data. */
  readonly parts: Pick<Task, 'params' | 'modelSize' | 'optimizer' | 'schedule' | 'stepEps' | 'loss' | 'dispose'>;
  /** For people: how large it is, how much of it is trained, and with which learning rate. */
  readonly about: Task['about'];
  save(directory: string, saved: { readonly tokenizer: Tokenizer; readonly classes?: readonly string[] }): Promise<void>;
};

/** tunedBert — the encoder of a checkpoint with the head of a task, ready to be fine-tuned; a head for the same classes is kept. */
export async function tunedBert(settings: FinetuneSettings, kind: HeadSays['kind'], classes?: readonly string[]): Promise<TunedBert> {
  const { checkpoint, lora: rank, dropout, seed, learningRate, weightDecay, steps } = settings;
  const loaded = await loadBertModel(checkpoint, {
    head: { kind, ...(classes && { numClasses: classes.length }) }, ...(classes && { classes }), seed: foldSeed(seed, 'init'), ...(rank > 0 && { linear: lora({ rank }) }), ...(dropout !== null && { dropout }),
  });
  const { model, params } = loaded;
  const { trained, join } = rank > 0 ? splitParams(params, (path) => isAdapter(path) || path.startsWith('head.')) : { trained: params, join: (leaves: Tree<Tensor>) => leaves as HeadedParams };
  const specs = rank > 0 ? Object.fromEntries(treeEntries<ParamSpec>(model.specs).filter(([path]) => Object.hasOwn(trained, path))) : model.specs;
  return {
    model, params, hasSegments: model.config.typeVocabSize > 1, contextLength: model.config.positions === 'learned' ? model.config.contextLength : Infinity,
    parts: {
      params: trained as Tree<Variable>, stepEps: 1e-6, ...(rank > 0 && { modelSize: parameterCount(params) }),
      optimizer: fineTuningOptimizer(specs, { learningRate, weightDecay, steps }), schedule: fineTuningSchedule({ learningRate, steps }),
      loss: (leaves, batch, call) => model.loss(batch, join(leaves as Tree<Tensor>) as HeadedParams, call),
      dispose: () => dispose(params as never),
    },
    about: [['model', `${checkpoint}: ${sizeInWords(loaded, trained as Params, rank)}; head: ${loaded.isHeadKept ? 'kept' : 'new'}`], ['with', rateInWords(settings, model.config.dim)]],
    save: async (directory, { tokenizer, classes }) => {
      await saveTokenizer(tokenizer, directory);
      if (rank > 0) return saveAdapters(directory, loaded, { base: checkpoint, ...(classes && { classes }) });
      return saveBertModel(directory, { ...loaded, classes });
    },
  };
}

/** The learning rate, and what of it is the recipe's. */
function rateInWords({ task, lora: rank, learningRate }: FinetuneSettings, dim: number): string {
  const recipe = recipeOf(task, rank > 0);
  const isScaled = learningRate === rateFor(recipe, dim) && learningRate !== recipe.learningRate;
  return `learning rate ${Number(learningRate.toPrecision(3))}${isScaled ? `: ${recipe.learningRate} at width 768, scaled to width ${dim}` : ''}`;
}

function sizeInWords({ params, model: { config: { depth, dim, numHeads } } }: SavedBert, trained: Params, rank: number): string {
  const [all, part] = [parameterCount(params), parameterCount(trained)];
  return `${formatCount(all)} parameters: depth ${depth}, dim ${dim}, ${numHeads} heads${rank > 0 ? `; adapters of rank ${rank} and head are trained, ${formatCount(part)} (${((100 * part) / all).toFixed(1)} %)` : ''}`;
}

/** ADAPTERS — by which a directory of adapters is known: PEFT's file. */
export const ADAPTERS = 'adapter_config.json';

/** ADAPTER_HEAD — what a directory of adapters is for, beside PEFT's files. */
export const ADAPTER_HEAD = 'adapter_head.json';

/** Beside PEFT's files, which do not say what the classes are called. */
async function saveAdapters(directory: string, { model, params, family }: SavedBert, { base, classes }: { base: string; classes?: readonly string[] }): Promise<void> {
  await saveLora(directory, model, params, { family, base });
  await atomicWriteFile(joinPath(directory, ADAPTER_HEAD), `${JSON.stringify({ kind: model.kind, ...(classes && { numClasses: classes.length, id2label: Object.fromEntries(classes.entries()) }) }, null, 2)}\n`);
}

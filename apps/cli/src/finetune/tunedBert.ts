import { dispose, type Tensor } from '@tensorflow/tfjs-core';
import { foldSeed, type Params, type Tree } from '@evenkeel/core-tensor';
import type { Tokenizer } from '@evenkeel/data';
import { lora } from '@evenkeel/layers';
import { fineTuningOptimizer, fineTuningSchedule, saveLora, type HeadedParams } from '@evenkeel/models-bert';
import type { AnyBert, HeadSays } from '../bert/bertModel.ts';
import { loadBertModel, saveBertModel, type SavedBert } from '../bert/savedBert.ts';
import { saveTokenizer } from '../tokenizerFiles.ts';
import { formatCount } from '../format.ts';
import { parameterCount } from '../statistics.ts';
import type { Task } from '../task.ts';
import { adaptersInWords, saveAdapterHead, trainedPart } from './adapters.ts';
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
  const { trained, join, specs, size } = trainedPart<HeadedParams>(model.specs, params, { rank, isHead: (path) => path.startsWith('head.') });
  return {
    model, params, hasSegments: model.config.typeVocabSize > 1, contextLength: model.config.positions === 'learned' ? model.config.contextLength : Infinity,
    parts: {
      params: trained, stepEps: 1e-6, ...(rank > 0 && { modelSize: parameterCount(params) }),
      optimizer: fineTuningOptimizer(specs, { learningRate, weightDecay, steps }), schedule: fineTuningSchedule({ learningRate, steps }),
      loss: (leaves, batch, call) => model.loss(batch, join(leaves as Tree<Tensor>), call),
      dispose: () => dispose(params as never),
    },
    about: [['model', `${checkpoint}: ${sizeInWords(loaded, size, rank)}; head: ${loaded.isHeadKept ? 'kept' : 'new'}`], ['with', rateInWords(settings, model.config.dim)]],
    save: async (directory, { tokenizer, classes }) => {
      await saveTokenizer(tokenizer, directory);
      if (rank === 0) return saveBertModel(directory, { ...loaded, classes });
      await saveLora(directory, model, params, { family: loaded.family, base: checkpoint });
      return saveAdapterHead(directory, { kind: model.kind }, classes);
    },
  };
}

/** The learning rate, and what of it is the recipe's. */
function rateInWords({ task, lora: rank, learningRate }: FinetuneSettings, dim: number): string {
  const recipe = recipeOf(task, rank > 0);
  const isScaled = learningRate === rateFor(recipe, dim) && learningRate !== recipe.learningRate;
  return `learning rate ${Number(learningRate.toPrecision(3))}${isScaled ? `: ${recipe.learningRate} at width 768, scaled to width ${dim}` : ''}`;
}

function sizeInWords({ params, model: { config: { depth, dim, numHeads } } }: SavedBert, trained: number, rank: number): string {
  const all = parameterCount(params);
  return `${formatCount(all)} parameters: depth ${depth}, dim ${dim}, ${numHeads} heads${adaptersInWords(rank, trained, all)}`;
}

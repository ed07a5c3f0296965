import { foldSeed } from '@evenkeel/core-tensor';
import type { GptSettings } from './gptSettings.ts';
import type { TrainedModel } from './savedModel.ts';
import { trainedModelOf } from './gptModel.ts';

/** freshModel — the untrained model of a run; its values are the caller's. */
export function freshModel<S extends GptSettings>(settings: S, vocabSize: number): TrainedModel & { readonly settings: S } {
  const { depth, dim, numHeads, context, dropout, seed } = settings;
  const model = trainedModelOf({ vocabSize, contextLength: context, depth, dim, numHeads, dropout }, settings);
  const params = model.init({ seed: foldSeed(seed, 'init') });
  return { model, params, state: model.state.init(params), settings };
}

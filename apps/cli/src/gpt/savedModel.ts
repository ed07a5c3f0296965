import { join } from 'node:path';
import type { Variable } from '@tensorflow/tfjs-core';
import { readJsonFile } from '@evenkeel/checkpoint';
import type { Params, Tree } from '@evenkeel/core-tensor';
import { gptConfig, loadGpt, saveGpt, type Gpt, type GptConfig, type GptParams } from '@evenkeel/models-gpt';
import { loadOwn, saveOwn, TECHNIQUE_TESTS, type OwnLayout } from '../ownLayout.ts';
import { withPlainParams } from '../plainParams.ts';
import type { ModelTechniques } from '../techniques.ts';
import { modelOf } from './gptModel.ts';

/** TrainedModel — a model with its values as they are now. */
export type TrainedModel = { readonly model: Gpt; readonly params: Params & GptParams; readonly state: Tree<Variable>; readonly settings: ModelTechniques };

/** PlainModel — a model that needs no state, and its parameters. */
export type PlainModel = { readonly model: Gpt; readonly params: Params & GptParams };

/** withPlainModel — calls `use` with the model as others use it: reparametrised weights as the matrices that they stand for. */
export async function withPlainModel<T>({ model, params, state, settings }: TrainedModel, use: (plain: PlainModel) => Promise<T>): Promise<T> {
  return withPlainParams(params, state, (plain, isFolded) => use({ model: isFolded ? modelOf(model.config, settings) : model, params: plain }));
}

const OWN: OwnLayout<GptConfig, ModelTechniques, Gpt> = {
  modelType: 'evenkeel-gpt', example: gptConfig({ vocabSize: 1, contextLength: 1, depth: 1, dim: 1, numHeads: 1 }), techniques: TECHNIQUE_TESTS, checked: gptConfig, make: modelOf,
};

/**
 * saveModel — writes `config.json` and `model.safetensors`: as GPT-2 where its layout says what the model computes, and `transformers` loads
 * it; otherwise under our own names, with the techniques, as `model_type: "evenkeel-gpt"`, which `loadModel` reads and others refuse.
 */
export async function saveModel(directory: string, trained: TrainedModel): Promise<void> {
  await withPlainModel(trained, async ({ model, params }) => {
    if (model.departures.length === 0) return saveGpt(directory, model, params);
    return saveOwn(directory, OWN, { config: model.config, techniques: trained.settings, params });
  });
}

/**
 * loadModel — a model and its parameters, the caller's, from a directory that `saveModel` or Hugging Face's libraries wrote.
 *
 * @throws ConfigError  if a file is missing or damaged, or `config.json` says what this release does not know.
 */
export async function loadModel(directory: string): Promise<PlainModel> {
  const json = await readJsonFile(join(directory, 'config.json'));
  if ((json as { model_type?: unknown } | null)?.model_type !== OWN.modelType) return loadGpt(directory);
  const { model, params } = await loadOwn(directory, json, OWN);
  return { model, params: params as Params & GptParams };
}

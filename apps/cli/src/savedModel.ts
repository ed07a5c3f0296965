import { join } from 'node:path';
import { dispose, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { atomicWriteFile, entriesFromTensors, matchStateDict, openStateDict, readJsonFile, tensorFromEntry, writeSafetensors, type SafetensorsFile } from '@evenkeel/checkpoint';
import { ConfigError, param, treeEntries, treeFromEntries, treeLeaves, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { loadGpt, saveGpt, type Gpt, type GptParams } from '@evenkeel/models-gpt';
import { foldSigmaReparam } from '@evenkeel/sigma-reparam';
import { MODEL_TYPE, parseSavedConfig, savedConfig } from './savedConfig.ts';
import { modelOf, type ModelTechniques } from './techniques.ts';

/** TrainedModel — a model with its values as they are now. */
export type TrainedModel = { readonly model: Gpt; readonly params: Params & GptParams; readonly state: Tree<Variable>; readonly settings: ModelTechniques };

/** PlainModel — a model that needs no state, and its parameters. */
export type PlainModel = { readonly model: Gpt; readonly params: Params & GptParams };

/** withPlainModel — calls `use` with the model as others use it: reparametrised weights as the matrices that they stand for. */
export async function withPlainModel<T>({ model, params, state, settings }: TrainedModel, use: (plain: PlainModel) => Promise<T>): Promise<T> {
  if (treeLeaves(state).length === 0) return use({ model, params });
  const folded = foldSigmaReparam(params, state) as Params & GptParams;
  try {
    return await use({ model: modelOf(model.config, settings), params: folded });
  } finally {
    dispose(folded as never);
  }
}

/** What `format` says in the metadata of a file that is not in GPT-2's layout: `transformers` refuses any that it does not know. */
const FORMAT = MODEL_TYPE;

/**
 * saveModel — writes `config.json` and `model.safetensors`: as GPT-2 where its layout says what the model computes, and `transformers` loads
 * it; otherwise under our own names, with the techniques, as `model_type: "evenkeel-gpt"`, which `loadModel` reads and others refuse.
 */
export async function saveModel(directory: string, trained: TrainedModel): Promise<void> {
  await withPlainModel(trained, async ({ model, params }) => {
    if (model.departures.length === 0) return saveGpt(directory, model, params);
    return saveOurs(directory, { model, params }, trained.settings);
  });
}

async function saveOurs(directory: string, { model, params }: PlainModel, techniques: ModelTechniques): Promise<void> {
  const tensors = Object.fromEntries(treeEntries<Tensor>(params as unknown as Tree<Tensor>));
  await writeSafetensors(join(directory, 'model.safetensors'), await entriesFromTensors(tensors), { metadata: { format: FORMAT } });
  await atomicWriteFile(join(directory, 'config.json'), `${JSON.stringify(savedConfig(model.config, techniques), null, 2)}\n`);
}

/**
 * loadModel — a model and its parameters, the caller's, from a directory that `saveModel` or Hugging Face's libraries wrote.
 *
 * @throws ConfigError  if a file is missing or damaged, or `config.json` says what this release does not know.
 */
export async function loadModel(directory: string): Promise<PlainModel> {
  const json = await readJsonFile(join(directory, 'config.json'));
  if ((json as { model_type?: unknown } | null)?.model_type !== MODEL_TYPE) return loadGpt(directory);
  const { config, techniques } = parseSavedConfig(json, join(directory, 'config.json'));
  const file = await openStateDict(directory);
  try {
    checkDepth(config.depth, file, directory);
    const model = modelOf(config, techniques);
    return { model, params: await readParams(model, file, directory) };
  } finally {
    await file.close();
  }
}

async function readParams({ specs }: Gpt, file: SafetensorsFile, directory: string): Promise<Params & GptParams> {
  const expected = treeEntries<ParamSpec>(specs).map(([name, { shape }]) => ({ name, shape }));
  matchStateDict(expected, Object.fromEntries(file.names.map((name) => [name, file.info(name)])), { where: `loadModel: ${directory}` });
  const variables: [string, Variable][] = [];
  try {
    for (const { name } of expected) {
      const entry = await file.read(name);
      variables.push([name, param(() => tensorFromEntry(entry, name))]);
    }
  } catch (error) {
    dispose(variables.map(([, variable]) => variable) as TensorContainer);
    throw error;
  }
  return treeFromEntries(specs, variables) as Params & GptParams;
}

/** Before anything is built: a `config.json` may claim any number of blocks. */
function checkDepth(depth: number, { names }: SafetensorsFile, directory: string): void {
  const blocks = new Set(names.flatMap((name) => /^blocks\.(\d+)\./.exec(name)?.[1] ?? []));
  if (blocks.size !== depth) throw new ConfigError(`loadModel: ${join(directory, 'config.json')} must have depth ${blocks.size}, as many blocks as the checkpoint holds, got ${depth}`);
}

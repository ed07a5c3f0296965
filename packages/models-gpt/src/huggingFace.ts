import type { Tensor } from '@tensorflow/tfjs-core';
import { describeShape, treeEntries, UnsupportedError, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import {
  checkBlockCount, entriesFromParams, paramsFromFile, readCheckpoint, writeCheckpoint, type Entries, type FloatDtype, type SafetensorsFile,
} from '@evenkeel/checkpoint';
import { gpt, type Gpt, type GptParams, type GptTechniques } from './gpt.ts';
import { configFromHuggingFace, configToHuggingFace } from './huggingFaceConfig.ts';
import { gpt2Names, isIgnorable } from './huggingFaceNames.ts';

const PREFIX = 'transformer.';

/**
 * loadGpt — a model and its parameters from a Hugging Face GPT-2 directory: `config.json` and safetensors, sharded or not.
 *
 * @param directory   as `transformers` or `saveGpt` write it; names with and without the `transformer.` prefix are accepted.
 * @param techniques  how to compute: any that keep GPT-2's parameters, such as another attention.
 * @returns           the model and its parameters, which are the caller's.
 * @throws ConfigError  if a file is missing or damaged, names or shapes disagree with `config.json` (the message lists them), or a technique
 *                      has other parameters than GPT-2.
 */
export async function loadGpt(directory: string, techniques: GptTechniques = {}): Promise<{ model: Gpt; params: Params & GptParams }> {
  return readCheckpoint(directory, (config, file) => gptFromFile(config, file, { techniques, where: `loadGpt: ${directory}` }));
}

/** gptFromFile — `loadGpt` from a parsed `config.json` and an open safetensors file, which may be a browser's Blob. */
export async function gptFromFile(
  configJson: unknown, file: SafetensorsFile, { techniques = {}, where = 'gptFromFile' }: { techniques?: GptTechniques; where?: string } = {},
): Promise<{ model: Gpt; params: Params & GptParams }> {
  const config = configFromHuggingFace(configJson);
  checkBlockCount(where, { field: 'n_layer', depth: config.depth }, file.names, /^(?:transformer\.)?h\.(\d+)\./);
  const model = gpt({ ...config, ...techniques });
  const nameOf = (stored: string): string | undefined => {
    const name = withoutPrefix(stored);
    return isIgnorable(name, config) ? undefined : name;
  };
  return { model, params: await paramsFromFile<GptParams>(model.specs, gpt2Names(config), file, { where, layout: 'GPT-2', nameOf }) };
}

/**
 * saveGpt — writes `config.json` and `model.safetensors` so that `transformers` loads the directory as GPT2LMHeadModel.
 *
 * Each file is written atomically into `directory`, which is made if it is not there; parameters are read back from the device first.
 *
 * @param options  `dtype` of the file (default F32). `weightsOnly: true` also saves a model that has GPT-2's parameters but
 *                 computes otherwise (another attention, say): whoever loads the directory gets GPT-2's computation.
 * @throws UnsupportedError  if GPT-2's layout cannot hold the model: other techniques, parameters or shapes. Nothing is written.
 */
export async function saveGpt(
  directory: string, model: Gpt, params: GptParams, { dtype = 'F32', weightsOnly = false }: { dtype?: FloatDtype; weightsOnly?: boolean } = {},
): Promise<void> {
  if (!weightsOnly && model.departures.length > 0) {
    throw new UnsupportedError(
      `saveGpt: model must be GPT-2's for a checkpoint to say what it computes, got another ${model.departures.join(', ')}. weightsOnly saves the weights alone.`);
  }
  const config = configToHuggingFace(model.config);
  await writeCheckpoint(directory, { config, entries: await gptEntries(model, params, { dtype }) });
}

/** gptEntries — the parameters as entries of a safetensors file, in GPT-2's names and layout. */
export async function gptEntries(model: Gpt, params: GptParams, { dtype = 'F32' }: { dtype?: FloatDtype } = {}): Promise<Entries> {
  const tree = params as unknown as Tree<Tensor>;
  checkLayout(model, new Map(treeEntries<Tensor>(tree)));
  const nameOf = (name: string): string => (name.startsWith('lm_head.') ? name : `${PREFIX}${name}`);
  return entriesFromParams(model.specs, gpt2Names(model.config), tree, { dtype, nameOf });
}

/** The parameters must be exactly those of GPT-2 with this configuration. */
function checkLayout(model: Gpt, byPath: ReadonlyMap<string, Tensor>): void {
  const expected = treeEntries<ParamSpec>(gpt(model.config).specs);
  const wrong = expected.find(([path, { shape }]) => byPath.get(path)?.shape.join() !== shape.join());
  if (wrong !== undefined) {
    const [path, { shape }] = wrong;
    throw new UnsupportedError(`gptEntries: ${path} must have shape ${describeShape(shape)} in GPT-2's layout, got ${describeShape(byPath.get(path)?.shape ?? ['none'])}`);
  }
  if (byPath.size !== expected.length) {
    throw new UnsupportedError(`gptEntries: params must be the ${expected.length} tensors of GPT-2's layout, got ${byPath.size}`);
  }
}

const withoutPrefix = (name: string): string => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name);

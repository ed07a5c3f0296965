import { clone, dispose, tidy, transpose, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import {
  ConfigError, describeShape, param, treeEntries, treeFromEntries, treePaths, UnsupportedError, type Params, type ParamSpec, type Tree,
} from '@evenkeel/core-tensor';
import {
  atomicWriteFile, entriesFromTensors, matchStateDict, openStateDict, readJsonFile, tensorFromEntry, writeSafetensors,
  type Entries, type FloatDtype, type SafetensorsFile,
} from '@evenkeel/checkpoint';
import { gpt, type Gpt, type GptParams, type GptTechniques } from './gpt.ts';
import type { GptConfig } from './gptConfig.ts';
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
  const config = await readJsonFile(`${directory}/config.json`);
  const file = await openStateDict(directory);
  try {
    return await gptFromFile(config, file, { techniques, where: `loadGpt: ${directory}` });
  } finally {
    await file.close();
  }
}

/** gptFromFile — `loadGpt` from a parsed `config.json` and an open safetensors file, which may be a browser's Blob. */
export async function gptFromFile(
  configJson: unknown, file: SafetensorsFile, { techniques = {}, where = 'gptFromFile' }: { techniques?: GptTechniques; where?: string } = {},
): Promise<{ model: Gpt; params: Params & GptParams }> {
  const config = configFromHuggingFace(configJson);
  checkDepth(config, file, where);
  const model = gpt({ ...config, ...techniques });
  checkTechniques(model, where);
  const names = file.names.filter((name) => !isIgnorable(withoutPrefix(name), model.config));
  const fileName = new Map(names.map((name) => [withoutPrefix(name), name]));
  const shapes = new Map(treeEntries<ParamSpec>(model.specs).map(([path, spec]) => [path, spec.shape]));
  const expected = gpt2Names(model.config).map((weight) => {
    const shape = shapes.get(weight.path) as readonly number[];
    return { ...weight, shape: weight.transposed ? [...shape].reverse() : shape };
  });
  matchStateDict(expected, Object.fromEntries([...fileName].map(([name, original]) => [name, file.info(original)])), { where });
  const variables: [string, Variable][] = [];
  try {
    for (const { path, name, transposed } of expected) {
      const entry = await file.read(fileName.get(name) as string);
      variables.push([path, param(() => {
        const stored = tensorFromEntry(entry, name);
        return transposed ? transpose(stored) : stored;
      })]);
    }
  } catch (error) {
    dispose(variables.map(([, variable]) => variable));
    throw error;
  }
  return { model, params: treeFromEntries(model.specs, variables) as Params & GptParams };
}

/** A technique may compute otherwise than GPT-2's, but with its parameters. */
function checkTechniques({ specs, config }: Gpt, where: string): void {
  const [own, gpt2] = [treePaths(specs), gpt2Names(config).map(({ path }) => path)];
  const extra = own.find((path) => !gpt2.includes(path));
  const missing = gpt2.find((path) => !own.includes(path));
  if (extra === undefined && missing === undefined) return;
  throw new ConfigError(`${where}: techniques must keep GPT-2's parameters, got ${extra === undefined ? `none called ${missing}` : `also ${extra}`}`);
}

/** Before anything is built: a `config.json` may claim any number of blocks. */
function checkDepth({ depth }: GptConfig, { names }: SafetensorsFile, where: string): void {
  const blocks = new Set(names.map((name) => /^h\.(\d+)\./.exec(withoutPrefix(name))?.[1]).filter((index) => index !== undefined));
  if (blocks.size !== depth) throw new ConfigError(`${where}: config.json must have n_layer ${blocks.size}, as many blocks as the checkpoint holds, got ${depth}`);
}

/**
 * saveGpt — writes `config.json` and `model.safetensors` so that `transformers` loads the directory as GPT2LMHeadModel.
 *
 * Each file is written atomically into `directory`, which must exist; parameters are read back from the device first.
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
  const entries = await gptEntries(model, params, { dtype });
  await writeSafetensors(`${directory}/model.safetensors`, entries, { metadata: { format: 'pt' } });
  await atomicWriteFile(`${directory}/config.json`, `${JSON.stringify(config, null, 2)}\n`);
}

/** gptEntries — the parameters as entries of a safetensors file, in GPT-2's names and layout. */
export async function gptEntries(model: Gpt, params: GptParams, { dtype = 'F32' }: { dtype?: FloatDtype } = {}): Promise<Entries> {
  const byPath = new Map(treeEntries<Tensor>(params as unknown as Tree<Tensor>));
  checkLayout(model, byPath);
  const tensors = tidy(() => Object.fromEntries(gpt2Names(model.config).map(({ path, name, transposed }) => {
    const stored = byPath.get(path) as Tensor;
    const prefixed = name.startsWith('lm_head.') ? name : `${PREFIX}${name}`;
    return [prefixed, transposed ? transpose(stored) : clone(stored)];
  })));
  try {
    return await entriesFromTensors(tensors, { dtype });
  } finally {
    dispose(tensors);
  }
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

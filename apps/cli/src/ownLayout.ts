import { join } from 'node:path';
import { dispose, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { atomicWriteFile, entriesFromTensors, matchStateDict, openStateDict, tensorFromEntry, writeSafetensors, type SafetensorsFile } from '@evenkeel/checkpoint';
import { ConfigError, param, treeEntries, treeFromEntries, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { isBoolean, isOneOf, wrongField, type Fields, type Test } from './fields.ts';
import { NORMS, PLACEMENTS } from './techniqueNames.ts';
import type { ModelTechniques } from './techniques.ts';

/** OwnLayout — how we save models that compute what nobody else's layout can say: our names, and the techniques by name. */
export type OwnLayout<C, T, M extends { readonly specs: Tree<ParamSpec> }> = {
  /** `model_type` in `config.json`, which others refuse. */
  readonly modelType: string;
  /** A configuration whose fields are all there: what kind each is. */
  readonly example: C;
  readonly techniques: Readonly<Record<keyof T, Test>>;
  /** Fields of `config.json` besides, which may be absent. */
  readonly extras?: Readonly<Record<string, Test>>;
  readonly checked: (config: C) => C;
  readonly make: (config: C, techniques: T, extras: Fields) => M;
};

/** TECHNIQUE_TESTS — what the techniques of every model must be, where a file says them. */
export const TECHNIQUE_TESTS: Readonly<Record<keyof ModelTechniques, Test>> = { placement: isOneOf(PLACEMENTS), norm: isOneOf(NORMS), qkNorm: isBoolean };

/** labelNames — the names of classes as Hugging Face's `config.json` has them. */
export const labelNames = (classes: readonly string[]) => ({ id2label: Object.fromEntries(classes.entries()), label2id: Object.fromEntries(classes.map((name, i) => [name, i])) });

/** saveOwn — writes `config.json` and `model.safetensors` in our own layout. */
export async function saveOwn<C extends object, T extends object, M extends { readonly specs: Tree<ParamSpec> }>(
  directory: string, { modelType, techniques: known }: OwnLayout<C, T, M>, { config, techniques, params, extras = {} }: { config: C; techniques: T; params: Tree<Tensor>; extras?: Fields },
): Promise<void> {
  const tensors = Object.fromEntries(treeEntries<Tensor>(params));
  const said = Object.fromEntries(Object.keys(known).map((name) => [name, techniques[name as keyof T]]));
  // what `format` says in the metadata is not "pt": `transformers` refuses any that it does not know
  await writeSafetensors(join(directory, 'model.safetensors'), await entriesFromTensors(tensors), { metadata: { format: modelType } });
  await atomicWriteFile(join(directory, 'config.json'), `${JSON.stringify({ model_type: modelType, format: 1, ...config, techniques: said, ...extras }, null, 2)}\n`);
}

/** Owned — a model and its parameters, the caller's. */
export type Owned<T, M> = { readonly model: M; readonly params: Params; readonly techniques: T; readonly extras: Fields };

/**
 * loadOwn — a model and its parameters, the caller's, from a directory that `saveOwn` wrote.
 *
 * @param json  its parsed `config.json`.
 * @throws ConfigError  if a file is missing or damaged, or `config.json` says what this release does not know.
 */
export async function loadOwn<C extends { readonly depth: number }, T, M extends { readonly specs: Tree<ParamSpec> }>(directory: string, json: unknown, layout: OwnLayout<C, T, M>): Promise<Owned<T, M>> {
  const { config, techniques, extras } = parseOwn(json, join(directory, 'config.json'), layout);
  const file = await openStateDict(directory);
  try {
    checkDepth(config.depth, file, directory);
    const model = layout.make(config, techniques, extras);
    return { model, params: await readParams(model.specs, file, directory), techniques, extras };
  } finally {
    await file.close();
  }
}

/** Sizes and techniques from a parsed `config.json`, every field checked: one that is missing, wrong or not known may change what the model computes. */
function parseOwn<C, T, M extends { readonly specs: Tree<ParamSpec> }>(json: unknown, path: string, { example, techniques: tests, extras: extraTests = {}, checked }: OwnLayout<C, T, M>): { config: C; techniques: T; extras: Fields } {
  const { model_type: _, format, techniques, ...rest } = json as Fields;
  if (format !== 1) throw new ConfigError(`loadModel: ${path} must have format 1, got ${shown(format)}. Was it written by a newer release?`);
  const isExtra = ([name]: [string, unknown]): boolean => Object.hasOwn(extraTests, name);
  const [extras, config] = [Object.fromEntries(Object.entries(rest).filter(isExtra)), Object.fromEntries(Object.entries(rest).filter((entry) => !isExtra(entry)))];
  checkFields(path, '', config, Object.fromEntries(Object.entries(example as object).map(([name, value]) => [name, (given: unknown) => typeof given === typeof value])));
  checkFields(path, '', extras, Object.fromEntries(Object.entries(extraTests).filter(([name]) => name in extras)));
  if (typeof techniques !== 'object' || techniques === null) throw new ConfigError(`loadModel: ${path} must have techniques, got ${shown(techniques)}`);
  checkFields(path, 'techniques.', techniques as Fields, tests);
  return { config: checked(config as C), techniques: techniques as T, extras };
}

function checkFields(path: string, prefix: string, object: Fields, tests: Readonly<Record<string, Test>>): void {
  const wrong = wrongField(object, tests, prefix);
  if (wrong !== undefined) throw new ConfigError(`loadModel: ${path} must be the configuration of a model, ${wrong}`);
  const unknown = Object.keys(object).find((name) => !Object.hasOwn(tests, name));
  if (unknown !== undefined) throw new ConfigError(`loadModel: ${path} must have no ${prefix}${unknown}, which this release does not know, got ${shown(object[unknown])}`);
}

const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 60) ?? 'nothing';

async function readParams(specs: Tree<ParamSpec>, file: SafetensorsFile, directory: string): Promise<Params> {
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
  return treeFromEntries(specs, variables) as Params;
}

/** Before anything is built: a `config.json` may claim any number of blocks. */
function checkDepth(depth: number, { names }: SafetensorsFile, directory: string): void {
  const blocks = new Set(names.flatMap((name) => /^blocks\.(\d+)\./.exec(name)?.[1] ?? []));
  if (blocks.size !== depth) throw new ConfigError(`loadModel: ${join(directory, 'config.json')} must have depth ${blocks.size}, as many blocks as the checkpoint holds, got ${depth}`);
}

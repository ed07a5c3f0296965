import type { Tensor } from '@tensorflow/tfjs-core';
import {
  checkBlockCount, entriesFromParams, paramsWithFresh, readCheckpoint, writeCheckpoint, type Entries, type FloatDtype, type NamedWeight, type SafetensorsFile,
} from '@evenkeel/checkpoint';
import { UnsupportedError, type Params, type Seed, type Tree } from '@evenkeel/core-tensor';
import { isAdapter, type StackTechniques } from '@evenkeel/layers';
import { bert, type BertInputs } from './bert.ts';
import { bertWithHead, type BertHead, type BertWithHead, type HeadedParams } from './bertWithHead.ts';
import type { BertConfig } from './bertConfig.ts';
import { bertConfigFromHuggingFace, bertConfigToHuggingFace, type BertFamily } from './huggingFaceConfig.ts';
import { bertNameOf, bertNames, fileNameOf, ofHead } from './huggingFaceNames.ts';

export type LoadBertOptions = {
  /** How to compute: any techniques that keep BERT's parameters; and `dropout` in place of the file's. */
  techniques?: StackTechniques & Partial<Pick<BertConfig, 'dropout'>>;
  /** Of the layers of the head that the file does not have; default 0. */
  seed?: Seed;
  /** Whether such layers are an error instead; default false. */
  strict?: boolean;
  /** How an error begins. */
  where?: string;
};

/** LoadedBert — `fresh`: layers of the head that the checkpoint does not have, and which start anew; `unused`: tensors of other heads. */
export type LoadedBert<Out, Batch extends BertInputs> = {
  model: BertWithHead<Out, Batch>; params: Params & HeadedParams; family: BertFamily; fresh: string[]; unused: string[];
};

/**
 * loadBert — a model and its parameters from a Hugging Face BERT or RoBERTa directory: `config.json` and safetensors, sharded or not.
 *
 * @param directory  as `transformers` or `saveBert` write it; names with and without the prefix, and older ones with `gamma` and `beta`.
 * @param head       what the encoder is for: a head of the file, or another one, which then starts anew.
 * @returns          the model and its parameters, which are the caller's; what started anew and what was not used.
 * @throws ConfigError  if a file is missing or damaged, or of another architecture, or names disagree with `config.json`; ShapeError if shapes do.
 */
export async function loadBert<Out extends Tensor | { readonly [name: string]: Tensor }, Batch extends BertInputs>(
  directory: string, head: BertHead<Out, Batch>, options: LoadBertOptions = {},
): Promise<LoadedBert<Out, Batch>> {
  return readCheckpoint(directory, (config, file) => bertFromFile(config, file, head, { where: `loadBert: ${directory}`, ...options }));
}

/** bertFromFile — `loadBert` from a parsed `config.json` and an open safetensors file, which may be a browser's Blob. */
export async function bertFromFile<Out extends Tensor | { readonly [name: string]: Tensor }, Batch extends BertInputs>(
  configJson: unknown, file: SafetensorsFile, head: BertHead<Out, Batch>, { techniques = {}, seed = 0, strict = false, where = 'bertFromFile' }: LoadBertOptions = {},
): Promise<LoadedBert<Out, Batch>> {
  const { config, family } = bertConfigFromHuggingFace(configJson);
  checkBlockCount(where, { field: 'num_hidden_layers', depth: config.depth }, file.names, /(?:^|\.)encoder\.layer\.(\d+)\./);
  const model = bertWithHead(bert({ ...config, ...techniques }), head);
  const weights = bertNames(config, { family, kind: head.kind });
  const names = new Set(file.names.map(bertNameOf));
  const fresh = strict ? [] : absentLayers(weights, names);
  const isFresh = (path: string): boolean => isAdapter(path) || fresh.includes(layerOf(path)); // adapters are in files of their own
  const wanted = new Set(weights.flatMap(({ name }) => name));
  const isUnused = (name: string): boolean => ofHead(name) && !wanted.has(name);
  const params = await paramsWithFresh<HeadedParams>(model, weights, file, {
    where, layout: 'BERT', isFresh, seed, nameOf: (stored) => { const name = bertNameOf(stored); return name === undefined || isUnused(name) ? undefined : name; },
  });
  return { model, params, family, fresh, unused: [...names].filter((name) => name !== undefined && isUnused(name)) as string[] };
}

/** `head.pooler` of `head.pooler.weight`. */
const layerOf = (path: string): string => path.split('.').slice(0, 2).join('.');

/** The layers of a head of which a file has nothing. */
function absentLayers(weights: readonly NamedWeight[], names: ReadonlySet<string | undefined>): string[] {
  const ofHeads = weights.filter(({ path }) => path.startsWith('head.'));
  const found = new Set(ofHeads.filter(({ name }) => [name].flat().some((each) => names.has(each))).map(({ path }) => layerOf(path)));
  return [...new Set(ofHeads.map(({ path }) => layerOf(path)))].filter((layer) => !found.has(layer));
}

/**
 * saveBert — writes `config.json` and `model.safetensors` so that `transformers` loads the directory as the model with that head.
 *
 * @param options  `family` (default `bert`): whose names; RoBERTa's need `positionOffset` ≥ 1. `dtype` of the file (default F32); `classes`: their names.
 * @throws UnsupportedError  if BERT's layout cannot hold the model: other techniques or positions. Nothing is written.
 */
export async function saveBert<Out, Batch extends BertInputs>(
  directory: string, model: BertWithHead<Out, Batch>, params: HeadedParams, { family = 'bert', dtype = 'F32', classes }: { family?: BertFamily; dtype?: FloatDtype; classes?: readonly string[] } = {},
): Promise<void> {
  const { departures, config } = model.encoder;
  if (departures.length > 0) throw new UnsupportedError(`saveBert: model must be BERT's for a checkpoint to say what it computes, got another ${departures.join(', ')}`);
  if ((family === 'roberta') !== (config.positionOffset > 0)) throw new UnsupportedError(`saveBert: positionOffset must be 0 for BERT and more for RoBERTa, got ${config.positionOffset} for ${family}`);
  const classifier = params.head['classifier'] as { readonly weight: Tensor } | undefined;
  const numClasses = model.kind === 'span' ? undefined : classifier?.weight.shape[0];
  await writeCheckpoint(directory, {
    config: bertConfigToHuggingFace(config, { family, kind: model.kind, ...(numClasses !== undefined && { numClasses }), ...(classes && { classes }) }),
    entries: await bertEntries(model, params, { family, dtype }),
  });
}

/** bertEntries — the parameters as entries of a safetensors file, in Hugging Face's names. */
export async function bertEntries<Out, Batch extends BertInputs>(
  model: BertWithHead<Out, Batch>, params: HeadedParams, { family = 'bert', dtype = 'F32' }: { family?: BertFamily; dtype?: FloatDtype } = {},
): Promise<Entries> {
  return entriesFromParams(model.specs, bertNames(model.encoder.config, { family, kind: model.kind }), params as unknown as Tree<Tensor>, {
    dtype, nameOf: (name) => fileNameOf(name, family),
  });
}

import type { Tensor } from '@tensorflow/tfjs-core';
import { checkOneOf, treePaths, UnsupportedError, type Params, type Tree } from '@evenkeel/core-tensor';
import { checkBlockCount, entriesFromParams, paramsWithFresh, readCheckpoint, writeCheckpoint, type Entries, type FloatDtype, type SafetensorsFile } from '@evenkeel/checkpoint';
import { isAdapter, layerScale } from '@evenkeel/layers';
import { vit, type Vit, type VitParams, type VitTechniques } from './vit.ts';
import type { VitConfig } from './vitConfig.ts';
import { vitConfigFromJson, vitConfigToJson } from './vitCheckpointConfig.ts';
import { headNames, VIT_LAYOUTS, vitFileName, vitNames, type VitLayout } from './vitNames.ts';

export type LoadVitOptions = {
  /** How to compute: any that keep ViT's parameters, such as another attention, or add adapters (`lora`); and `dropout` in place of the file's. */
  techniques?: VitTechniques & Partial<Pick<VitConfig, 'dropout'>>;
  /** Fresh heads for so many classes in place of those of the checkpoint, to fine-tune; it may then have none. */
  numClasses?: number;
  /** From which fresh heads start. Default 0. */
  seed?: number;
};

/** LoadedVit — the parameters are the caller's. */
export type LoadedVit = { readonly model: Vit; readonly params: Params & VitParams; readonly layout: VitLayout };

/**
 * loadVit — a model and its parameters from a directory with `config.json` and safetensors: Hugging Face's ViT or DeiT, or timm's.
 *
 * @param directory  names with and without the `vit.` or `deit.` prefix are accepted.
 * @throws ConfigError  if a file is missing or damaged, names or shapes disagree with `config.json` (the message lists them), or a technique
 *                      has other parameters.
 */
export async function loadVit(directory: string, options: LoadVitOptions = {}): Promise<LoadedVit> {
  return readCheckpoint(directory, (config, file) => vitFromFile(config, file, { ...options, where: `loadVit: ${directory}` }));
}

/** vitFromFile — `loadVit` from a parsed `config.json` and an open safetensors file, which may be a browser's Blob. */
export async function vitFromFile(
  configJson: unknown, file: SafetensorsFile, { techniques = {}, numClasses, seed = 0, where = 'vitFromFile' }: LoadVitOptions & { where?: string } = {},
): Promise<LoadedVit> {
  const { layout, config, layerScale: init } = vitConfigFromJson(configJson);
  checkBlockCount(where, { field: layout === 'timm' ? 'depth' : 'num_hidden_layers', depth: config.depth }, file.names, layout === 'timm' ? /^blocks\.(\d+)\./ : /^(?:vit\.|deit\.)?encoder\.layer\.(\d+)\./);
  const branch = techniques.branch ?? (init === undefined ? undefined : layerScale({ init }));
  const model = vit({ ...config, ...techniques, ...(branch && { branch }), ...(numClasses !== undefined && { numClasses }) });
  const heads = headNames(layout, config);
  const isHead = (name: string): boolean => numClasses !== undefined && (heads.some((head) => name.startsWith(`${head.name}.`)) || /^(head|classifier)\./.test(name));
  const params = await paramsWithFresh<VitParams>(model, vitNames(layout, config, model.specs), file, {
    where, layout: 'ViT', seed,
    isFresh: (path) => isAdapter(path) || (numClasses !== undefined && heads.some((head) => path.startsWith(`${head.path}.`))), // adapters are in files of their own
    nameOf: (stored) => { const name = withoutPrefix(stored); return name.startsWith('pooler.') || isHead(name) ? undefined : name; },
  });
  return { layout, model, params };
}

export type SaveVitOptions = {
  /** Default `huggingFace`. */
  layout?: VitLayout;
  /** Names of the classes. */
  classes?: readonly string[];
  /** Of the file; default F32. */
  dtype?: FloatDtype;
  /** Also save a model that has ViT's parameters but computes otherwise: whoever loads the directory gets ViT's computation. */
  weightsOnly?: boolean;
};

/**
 * saveVit — writes `config.json` and `model.safetensors` so that `transformers` or `timm` loads the directory, with strict names.
 *
 * @param directory  is made if it is not there; each file is written atomically.
 * @throws UnsupportedError  if the layout cannot hold the model: other techniques or parameters. Nothing is written. Layer scale needs timm's
 *                           layout; what acts on branches in training only (`stochasticDepth`) is no matter.
 */
export async function saveVit(directory: string, model: Vit, params: VitParams, { layout = 'huggingFace', classes, dtype = 'F32', weightsOnly = false }: SaveVitOptions = {}): Promise<void> {
  checkOneOf('saveVit', 'layout', layout, VIT_LAYOUTS);
  const foreign = model.departures.filter((name) => name !== 'branch');
  if (!weightsOnly && foreign.length > 0) {
    throw new UnsupportedError(`saveVit: model must be ViT's for a checkpoint to say what it computes, got another ${foreign.join(', ')}. weightsOnly saves the weights alone.`);
  }
  const entries = await vitEntries(model, params, { layout, dtype });
  const hasLayerScale = Object.hasOwn(entries, 'blocks.0.ls1.gamma');
  const config = vitConfigToJson(layout, model.config, { ...(classes && { classes }), ...(hasLayerScale && { layerScale: 1e-4 }) });
  await writeCheckpoint(directory, { config, entries });
}

/** vitEntries — the parameters as entries of a safetensors file, in the names and shapes of a layout. */
export async function vitEntries(model: Vit, params: VitParams, { layout = 'huggingFace', dtype = 'F32' }: { layout?: VitLayout; dtype?: FloatDtype } = {}): Promise<Entries> {
  const names = vitNames(layout, model.config, model.specs);
  const named = new Set(names.map(({ path }) => path));
  const own = treePaths(model.specs);
  const extra = own.find((path) => !named.has(path)) ?? [...named].find((path) => !own.includes(path));
  if (extra !== undefined) {
    throw new UnsupportedError(`vitEntries: model must have the parameters of ViT in the layout ${layout}, got ${own.includes(extra) ? 'also' : 'none called'} ${extra}`);
  }
  return entriesFromParams(model.specs, names, params as unknown as Tree<Tensor>, { dtype, nameOf: (name) => vitFileName(name, layout, model.config) });
}

const withoutPrefix = (name: string): string => name.replace(/^(vit|deit)\./, '');

import { join } from 'node:path';
import { atomicWriteFile, readJsonFile } from '@evenkeel/checkpoint';
import type { Params } from '@evenkeel/core-tensor';
import type { NormaliseOptions } from '@evenkeel/data';
import { loadVit, saveVit, vitConfig, vitConfigFromJson, type LoadedVit, type Vit, type VitConfig, type VitParams, type VitTechniques } from '@evenkeel/models-vit';
import { isNumber, isObject } from '../fields.ts';
import { labelNames, loadOwn, saveOwn, TECHNIQUE_TESTS, type OwnLayout } from '../ownLayout.ts';
import { withFreshParams } from '../withFreshParams.ts';
import { vitOf, type VitModelTechniques } from './vitModel.ts';

const OWN: OwnLayout<VitConfig, VitModelTechniques, Vit> = {
  modelType: 'evenkeel-vit', example: vitConfig({ imageSize: 1, patchSize: 1, numClasses: 1, depth: 1, dim: 1, numHeads: 1 }), techniques: { ...TECHNIQUE_TESTS, layerScale: isNumber },
  extras: { id2label: isObject, label2id: isObject }, checked: vitConfig, make: vitOf,
};

/** SavedVit — a model, its parameters, the names of its classes, and how its images are normalised. */
export type SavedVit = { readonly model: Vit; readonly params: Params & VitParams; readonly classes: readonly string[]; readonly statistics: NormaliseOptions };

/**
 * saveVitModel — writes `config.json`, `model.safetensors` and `preprocessor_config.json`: as Hugging Face's ViT where its layout says what the
 * model computes, as timm's where it has layer scale, and otherwise under our own names as `model_type: "evenkeel-vit"`.
 */
export async function saveVitModel(directory: string, { model, params, classes, statistics }: SavedVit, techniques: VitModelTechniques, layout?: LoadedVit['layout']): Promise<void> {
  const { imageSize } = model.config;
  await saveStatistics(directory, imageSize, statistics);
  const departs = model.departures.some((name) => name !== 'branch');
  if (!departs) return saveVit(directory, model, params, { classes, layout: layout ?? (techniques.layerScale > 0 ? 'timm' : 'huggingFace') });
  return saveOwn(directory, OWN, { config: model.config, techniques, params, extras: labelNames(classes) });
}

/** isVitHead — whether a parameter of a ViT or DeiT belongs to a head. */
export const isVitHead = (path: string): boolean => /^(head|distillationHead)\./.test(path);

const PREPROCESSOR = 'preprocessor_config.json';

/** saveStatistics — writes `preprocessor_config.json`: the size of the images and how they are normalised. */
export async function saveStatistics(directory: string, imageSize: number, { mean, std }: NormaliseOptions): Promise<void> {
  await atomicWriteFile(join(directory, PREPROCESSOR), `${JSON.stringify({
    image_processor_type: 'ViTImageProcessor', do_resize: true, size: { height: imageSize, width: imageSize }, resample: 2, do_rescale: true, rescale_factor: 1 / 255,
    do_normalize: true, image_mean: mean, image_std: std,
  }, null, 2)}\n`);
}

/** What Hugging Face's ViT is given where nothing says anything else. */
const HALF: NormaliseOptions = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

export type LoadVitModelOptions = {
  /** Fresh heads for so many classes. */
  readonly numClasses?: number;
  readonly seed?: number;
  readonly dropout?: number;
  /** What the maps of its blocks are to be made with, such as `lora()`. */
  readonly linear?: VitTechniques['linear'];
};

/**
 * loadVitModel — what `saveVitModel`, `transformers` or timm wrote; the parameters are the caller's.
 *
 * @throws ConfigError  if a file is missing or damaged, or `config.json` says what this release does not know.
 */
export async function loadVitModel(directory: string, { numClasses, seed, linear, dropout }: LoadVitModelOptions = {}): Promise<SavedVit & { readonly techniques: VitModelTechniques; readonly layout?: LoadedVit['layout'] }> {
  const path = join(directory, 'config.json');
  const json = await readJsonFile(path);
  const statistics = await statisticsOf(directory, json);
  const isOwn = isObject(json) && json['model_type'] === OWN.modelType;
  if (isOwn) {
    const { model, params, techniques, extras } = await loadOwn(directory, json, OWN);
    if (numClasses === undefined) return { model, params: params as Params & VitParams, techniques, classes: classesOf(extras, model.config.numClasses), statistics };
    const other = vitOf({ ...model.config, numClasses, ...(dropout !== undefined && { dropout }) }, techniques, { ...(linear && { linear }) });
    return { model: other, params: withFreshParams(params, other, { seed: seed ?? 0, isKept: (path) => !isVitHead(path) }), techniques, classes: classesOf({}, numClasses), statistics };
  }
  const { model, params, layout } = await loadVit(directory, {
    ...(numClasses !== undefined && { numClasses }), ...(seed !== undefined && { seed }), techniques: { ...(linear && { linear }), ...(dropout !== undefined && { dropout }) },
  });
  const layerScale = model.departures.includes('branch') ? 1e-4 : 0;
  return { model, params, layout, techniques: { placement: 'pre', norm: 'layer', qkNorm: false, layerScale }, classes: classesOf(json, model.config.numClasses), statistics };
}

/** The names of the classes in a `config.json`, Hugging Face's or timm's. */
function classesOf(json: unknown, count: number): string[] {
  const { id2label, label_names: names } = json as { id2label?: Readonly<Record<string, string>>; label_names?: unknown };
  return Array.from({ length: count }, (_, i) => id2label?.[String(i)] ?? (Array.isArray(names) ? String(names[i]) : `LABEL_${i}`));
}

async function statisticsOf(directory: string, json: unknown): Promise<NormaliseOptions> {
  const file = await readJsonFile(join(directory, PREPROCESSOR)).catch(() => undefined);
  const said = (isObject(file) ? [file['image_mean'], file['image_std']] : []) as unknown[];
  const { pretrained_cfg: ofTimm } = json as { pretrained_cfg?: { mean?: unknown; std?: unknown } };
  const [mean, std] = said.every(isNumbers) && said.length > 0 ? said : [ofTimm?.mean, ofTimm?.std];
  return isNumbers(mean) && isNumbers(std) ? { mean, std } : HALF;
}

const isNumbers = (value: unknown): value is number[] => Array.isArray(value) && value.length > 0 && value.every(Number.isFinite);

/** sizesOf — of the images that the model in a directory was trained with, before it is loaded. */
export async function sizesOf(directory: string): Promise<{ readonly size: number; readonly channels: number }> {
  const json = await readJsonFile(join(directory, 'config.json'));
  const { imageSize, channels } = isObject(json) && json['model_type'] === OWN.modelType ? vitConfig(json as unknown as VitConfig) : vitConfigFromJson(json).config;
  return { size: imageSize, channels };
}

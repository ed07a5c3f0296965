import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { ConfigError, treeEntries, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { atomicWriteFile } from './atomicWriteFile.ts';
import { makeDirectory } from './makeDirectory.ts';
import { entriesFromParams, paramsFromFile, type NamedWeight } from './namedWeights.ts';
import { readJsonFile } from './readJsonFile.ts';
import { openStateDict } from './stateDict.ts';
import { writeSafetensors } from './writeSafetensors.ts';

/** LoraModel — a model with adapters, by the names of its family. */
export type LoraModel = {
  /** Of the model as made with `lora`: beside each `weight` that is adapted `loraA` and `loraB`. */
  readonly specs: Tree<ParamSpec>;
  /** Every parameter of the model without adapters, with its name in a checkpoint of the whole model, prefix included. */
  readonly weights: readonly NamedWeight[];
  /** Whether a parameter belongs to the head, which is trained as a whole. */
  readonly isHead: (path: string) => boolean;
};

/** LoraFilesOptions — `alpha` as given to `lora`, default its rank; `fn`: how an error begins. */
export type LoraFilesOptions = { readonly fn: string; readonly alpha?: number | undefined };

/** WriteLoraOptions — `taskType` as PEFT calls it; `heads`: modules that PEFT saves whole; `base`: what the adapters were trained on, a name or a directory. */
export type WriteLoraOptions = LoraFilesOptions & { readonly taskType?: string | undefined; readonly heads: readonly string[]; readonly base?: string | undefined };

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const PREFIX = 'base_model.model.';

/**
 * writeLora — the adapters and the head of a model in the layout of Hugging Face's PEFT: `adapter_config.json` and `adapter_model.safetensors`,
 * without the weights that were not trained.
 *
 * @param directory  is made if it is not there.
 * @throws ConfigError  if the model has no adapters.
 */
export async function writeLora(
  directory: string, model: LoraModel, params: Tree<Tensor>, { fn, alpha, taskType, heads, base }: WriteLoraOptions,
): Promise<void> {
  const { weights, rank, modules } = adaptersOf(fn, model);
  const entries = await entriesFromParams(model.specs, weights, params);
  await makeDirectory(directory);
  await writeSafetensors(`${directory}/${WEIGHTS}`, entries);
  await atomicWriteFile(`${directory}/${CONFIG}`, `${JSON.stringify({
    peft_type: 'LORA', task_type: taskType ?? null, base_model_name_or_path: base ?? null, r: rank, lora_alpha: alpha ?? rank, lora_dropout: 0, bias: 'none',
    target_modules: [...new Set(modules.map((name) => name.replaceAll('.', '\\.').replaceAll(/\d+/g, '\\d+')))].join('|'),
    modules_to_save: heads, fan_in_fan_out: false, inference_mode: true,
  }, null, 2)}\n`);
}

/**
 * readLora — the adapters and head that `writeLora` or PEFT wrote for such a model: fresh variables by path, the caller's.
 *
 * @throws ConfigError  if the files are none of LoRA's, names disagree, or rank or alpha are others than the model's.
 */
export async function readLora(directory: string, model: LoraModel, { fn, alpha }: LoraFilesOptions): Promise<Record<string, Variable>> {
  const { weights, rank } = adaptersOf(fn, model);
  const { r, lora_alpha: found } = configOf(fn, `${directory}/${CONFIG}`, await readJsonFile(`${directory}/${CONFIG}`));
  if (r !== rank || found !== (alpha ?? rank)) throw new ConfigError(`${fn}: the model must have rank ${r} and alpha ${found} as ${directory}/${CONFIG}, got ${rank} and ${alpha ?? rank}`);
  const paths = new Set(weights.map(({ path }) => path));
  const specs = Object.fromEntries(treeEntries<ParamSpec>(model.specs).filter(([path]) => paths.has(path)));
  const file = await openStateDict(`${directory}/${WEIGHTS}`);
  try {
    return await paramsFromFile<Record<string, Variable>>(specs, weights, file, { where: `${fn}: ${directory}`, layout: 'PEFT' }) as Record<string, Variable>;
  } finally {
    await file.close();
  }
}

function configOf(fn: string, path: string, json: unknown): { r: number; lora_alpha: number } {
  const { peft_type: type, r, lora_alpha: alpha } = (json ?? {}) as { readonly [name: string]: unknown };
  const wrong = type !== 'LORA' ? 'peft_type' : !isPositive(r) ? 'r' : !isPositive(alpha) ? 'lora_alpha' : undefined;
  if (wrong !== undefined) throw new ConfigError(`${fn}: ${path} must be one of LoRA, got ${wrong} ${JSON.stringify((json as { readonly [name: string]: unknown } | null)?.[wrong])}`);
  return { r, lora_alpha: alpha } as { r: number; lora_alpha: number };
}

const isPositive = (value: unknown): boolean => typeof value === 'number' && value > 0;

/** The adapters' names: A and B beside each weight that has them, in parts where it is stored in parts; then the head's own. `modules`: what is adapted. */
function adaptersOf(fn: string, { specs, weights, isHead }: LoraModel): { weights: NamedWeight[]; rank: number; modules: string[] } {
  const specOf = new Map(treeEntries<ParamSpec>(specs));
  const renamed = ({ name }: NamedWeight, rename: (name: string) => string): string[] => [name].flat().map(rename);
  const adapted = weights.filter(({ path }) => path.endsWith('.weight') && specOf.has(path.replace(/weight$/, 'loraA')));
  const first = adapted[0];
  if (first === undefined) throw new ConfigError(`${fn}: model must have adapters, as of a model with linear: lora(), got none`);
  const adapters = adapted.flatMap((weight) => (['A', 'B'] as const).map((letter): NamedWeight => (
    { path: weight.path.replace(/weight$/, `lora${letter}`), name: renamed(weight, (name) => `${PREFIX}${name.replace(/weight$/, `lora_${letter}.weight`)}`) }
  )));
  const head = weights.filter(({ path }) => isHead(path)).map((weight): NamedWeight => ({ ...weight, name: renamed(weight, (name) => `${PREFIX}${name}`) }));
  return {
    weights: [...adapters, ...head], rank: (specOf.get(first.path.replace(/weight$/, 'loraB')) as ParamSpec).shape[1] as number,
    modules: adapted.flatMap((weight) => renamed(weight, (name) => name.replace(/\.weight$/, ''))),
  };
}

import { z } from 'zod';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { atomicWriteFile, entriesFromParams, makeDirectory, openStateDict, paramsFromFile, readJsonFile, writeSafetensors, type NamedWeight } from '@evenkeel/checkpoint';
import { ConfigError, treeEntries, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import type { BertInputs } from './bert.ts';
import type { BertWithHead, HeadedParams } from './bertWithHead.ts';
import type { BertFamily } from './huggingFaceConfig.ts';
import { bertNames, fileNameOf } from './huggingFaceNames.ts';

export type LoraAdapterOptions = {
  /** Whose names; default `bert`. */
  family?: BertFamily;
  /** As given to `lora`; default its rank. */
  alpha?: number;
  /** What the adapters were trained on, for `adapter_config.json`: a name or a directory. */
  base?: string;
};

const schema = z.object({ peft_type: z.literal('LORA'), r: z.number().int().positive(), lora_alpha: z.number().positive() });

/**
 * saveLora — the adapters of a model made with `lora`, and its head, in the layout of Hugging Face's PEFT: `adapter_config.json` and
 * `adapter_model.safetensors`, without the weights that were not trained.
 *
 * @param directory  is made if it is not there.
 * @throws ConfigError  if the model has no adapters.
 */
export async function saveLora<Out, Batch extends BertInputs>(
  directory: string, model: BertWithHead<Out, Batch>, params: HeadedParams, { family = 'bert', alpha, base }: LoraAdapterOptions = {},
): Promise<void> {
  const { weights, rank, modules } = adaptersOf('saveLora', model, family);
  const entries = await entriesFromParams(model.specs, weights, params as unknown as Tree<Tensor>);
  const heads = weights.flatMap(({ path, name }) => (path.startsWith('head.') ? [name].flat() : []));
  await makeDirectory(directory);
  await writeSafetensors(`${directory}/adapter_model.safetensors`, entries);
  await atomicWriteFile(`${directory}/adapter_config.json`, `${JSON.stringify({
    peft_type: 'LORA', task_type: TASKS[model.kind] ?? null, base_model_name_or_path: base ?? null, r: rank, lora_alpha: alpha ?? rank, lora_dropout: 0, bias: 'none',
    target_modules: `.*encoder\\.layer\\.\\d+\\.(${modules.map((name) => name.replaceAll('.', '\\.')).join('|')})`,
    modules_to_save: [...new Set(heads.map((name) => name.replace(PREFIX, '').replace(/^(bert|roberta)\./, '').split('.')[0]))],
    fan_in_fan_out: false, inference_mode: true,
  }, null, 2)}\n`);
}

/**
 * loadLora — the adapters and head that `saveLora` or PEFT wrote for such a model: fresh variables by path, the caller's, for `join` of `splitParams`.
 *
 * @throws ConfigError  if the files are none of LoRA's, names disagree, or rank or alpha are others than the model's.
 */
export async function loadLora<Out, Batch extends BertInputs>(
  directory: string, model: BertWithHead<Out, Batch>, { family = 'bert', alpha }: Omit<LoraAdapterOptions, 'base'> = {},
): Promise<Record<string, Variable>> {
  const { weights, rank } = adaptersOf('loadLora', model, family);
  const parsed = schema.safeParse(await readJsonFile(`${directory}/adapter_config.json`));
  if (!parsed.success) throw new ConfigError(`loadLora: ${directory}/adapter_config.json must be one of LoRA, got ${parsed.error.issues[0]?.path.join('.') || 'a wrong document'}`);
  const { r, lora_alpha: found } = parsed.data;
  if (r !== rank || found !== (alpha ?? rank)) throw new ConfigError(`loadLora: the model must have rank ${r} and alpha ${found} as ${directory}/adapter_config.json, got ${rank} and ${alpha ?? rank}`);
  const paths = new Set(weights.map(({ path }) => path));
  const specs = Object.fromEntries(treeEntries<ParamSpec>(model.specs).filter(([path]) => paths.has(path)));
  const file = await openStateDict(`${directory}/adapter_model.safetensors`);
  try {
    return await paramsFromFile<Record<string, Variable>>(specs, weights, file, { where: `loadLora: ${directory}`, layout: 'PEFT' }) as Record<string, Variable>;
  } finally {
    await file.close();
  }
}

const PREFIX = 'base_model.model.';
const TASKS: Readonly<Record<string, string>> = { classification: 'SEQ_CLS', tokenClassification: 'TOKEN_CLS', span: 'QUESTION_ANS' };

/** The adapters' names: A and B beside each weight that has them, in parts where it is stored in parts; then the head's own. */
function adaptersOf<Out, Batch extends BertInputs>(fn: string, model: BertWithHead<Out, Batch>, family: BertFamily): { weights: NamedWeight[]; rank: number; modules: string[] } {
  const specOf = new Map(treeEntries<ParamSpec>(model.specs));
  const fileName = (name: string): string => `${PREFIX}${fileNameOf(name, family)}`;
  const named = bertNames(model.encoder.config, { family, kind: model.kind });
  const adapted = named.filter(({ path }) => path.endsWith('.weight') && specOf.has(path.replace(/weight$/, 'loraA')));
  const first = adapted[0];
  if (first === undefined) throw new ConfigError(`${fn}: model must have adapters, as of bert({ linear: lora() }), got none`);
  const adapters = adapted.flatMap(({ path, name }) => (['A', 'B'] as const).map((letter): NamedWeight => ({
    path: path.replace(/weight$/, `lora${letter}`), name: [name].flat().map((each) => fileName(each.replace(/weight$/, `lora_${letter}.weight`))),
  })));
  const head = named.filter(({ path }) => path.startsWith('head.')).map(({ path, name }): NamedWeight => ({ path, name: [name].flat().map(fileName) }));
  const modules = [...new Set(adapted.flatMap(({ name }) => [name].flat().map((each) => each.replace(/^encoder\.layer\.\d+\./, '').replace(/\.weight$/, ''))))];
  return { weights: [...adapters, ...head], rank: (specOf.get(first.path.replace(/weight$/, 'loraB')) as ParamSpec).shape[1] as number, modules };
}

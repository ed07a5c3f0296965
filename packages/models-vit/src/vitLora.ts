import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { readLora, writeLora, type LoraModel } from '@evenkeel/checkpoint';
import type { Tree } from '@evenkeel/core-tensor';
import type { Vit, VitParams } from './vit.ts';
import { headNames, vitFileName, vitNames } from './vitNames.ts';

export type VitLoraOptions = {
  /** As given to `lora`; default its rank. */
  alpha?: number;
  /** What the adapters were trained on, for `adapter_config.json`: a name or a directory. */
  base?: string;
};

/**
 * saveVitLora — the adapters of a ViT or DeiT made with `lora`, and its heads, in the layout of Hugging Face's PEFT for `transformers`' models: see
 * `writeLora` of `@evenkeel/checkpoint`. timm's has one map for queries, keys and values, whose adapter is another one.
 *
 * @param directory  is made if it is not there.
 * @throws ConfigError  if the model has no adapters.
 */
export async function saveVitLora(directory: string, model: Vit, params: VitParams, { alpha, base }: VitLoraOptions = {}): Promise<void> {
  const heads = headNames(LAYOUT, model.config).map(({ name }) => name);
  await writeLora(directory, loraModelOf(model), params as unknown as Tree<Tensor>, { fn: 'saveVitLora', alpha, base, heads });
}

/**
 * loadVitLora — the adapters and heads that `saveVitLora` or PEFT wrote for such a model: fresh variables by path, the caller's, for `join` of `splitParams`.
 *
 * @throws ConfigError  if the files are none of LoRA's, names disagree, or rank or alpha are others than the model's.
 */
export async function loadVitLora(directory: string, model: Vit, { alpha }: Omit<VitLoraOptions, 'base'> = {}): Promise<Record<string, Variable>> {
  return readLora(directory, loraModelOf(model), { fn: 'loadVitLora', alpha });
}

const LAYOUT = 'huggingFace';

function loraModelOf({ specs, config }: Vit): LoraModel {
  const weights = vitNames(LAYOUT, config, specs).map((weight) => ({ ...weight, name: [weight.name].flat().map((name) => vitFileName(name, LAYOUT, config)) }));
  const heads = headNames(LAYOUT, config);
  return { specs, weights, isHead: (path) => heads.some((head) => path.startsWith(`${head.path}.`)) };
}

import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { readLora, writeLora, type LoraModel } from '@evenkeel/checkpoint';
import type { Tree } from '@evenkeel/core-tensor';
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

/**
 * saveLora — the adapters of a model made with `lora`, and its head, in the layout of Hugging Face's PEFT: see `writeLora` of
 * `@evenkeel/checkpoint`.
 *
 * @param directory  is made if it is not there.
 * @throws ConfigError  if the model has no adapters.
 */
export async function saveLora<Out, Batch extends BertInputs>(
  directory: string, model: BertWithHead<Out, Batch>, params: HeadedParams, { family = 'bert', alpha, base }: LoraAdapterOptions = {},
): Promise<void> {
  const named = loraModelOf(model, family);
  const heads = named.weights.flatMap(({ path, name }) => (isHead(path) ? [name].flat() : []));
  await writeLora(directory, named, params as unknown as Tree<Tensor>, {
    fn: 'saveLora', alpha, base, taskType: TASKS[model.kind], heads: [...new Set(heads.map((name) => name.replace(/^(bert|roberta)\./, '').split('.')[0] as string))],
  });
}

/**
 * loadLora — the adapters and head that `saveLora` or PEFT wrote for such a model: fresh variables by path, the caller's, for `join` of `splitParams`.
 *
 * @throws ConfigError  if the files are none of LoRA's, names disagree, or rank or alpha are others than the model's.
 */
export async function loadLora<Out, Batch extends BertInputs>(
  directory: string, model: BertWithHead<Out, Batch>, { family = 'bert', alpha }: Omit<LoraAdapterOptions, 'base'> = {},
): Promise<Record<string, Variable>> {
  return readLora(directory, loraModelOf(model, family), { fn: 'loadLora', alpha });
}

const TASKS: Readonly<Record<string, string>> = { classification: 'SEQ_CLS', regression: 'SEQ_CLS', tokenClassification: 'TOKEN_CLS', span: 'QUESTION_ANS' };

const isHead = (path: string): boolean => path.startsWith('head.');

function loraModelOf<Out, Batch extends BertInputs>({ specs, encoder, kind }: BertWithHead<Out, Batch>, family: BertFamily): LoraModel {
  const weights = bertNames(encoder.config, { family, kind });
  return { specs, weights: weights.map((weight) => ({ ...weight, name: [weight.name].flat().map((name) => fileNameOf(name, family)) })), isHead };
}

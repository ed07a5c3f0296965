import { existsSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { dispose, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { atomicWriteFile, readJsonFile } from '@evenkeel/checkpoint';
import { ConfigError, treeEntries, treeFromEntries, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { isAdapter, splitParams } from '@evenkeel/layers';
import { isCount, isObject, isText, type Fields } from '../fields.ts';
import { formatCount } from '../format.ts';
import { parameterCount } from '../statistics.ts';

const ADAPTERS = 'adapter_config.json';

/** What a directory of adapters is for, beside PEFT's files, which do not say what the classes are called. */
const HEAD = 'adapter_head.json';

/** hasAdapters — whether a directory holds adapters instead of a whole model: PEFT's file. */
export const hasAdapters = (directory: string): boolean => existsSync(joinPath(directory, ADAPTERS));

/** TrainedPart — what of a model is trained; `join` puts its values and the others together. */
export type TrainedPart<P> = { readonly trained: Tree<Variable>; readonly specs: Tree<ParamSpec>; readonly join: (leaves: Tree<Tensor>) => P; readonly size: number };

/** trainedPart — adapters and head of a model, or with rank 0 all of it. */
export function trainedPart<P>(specs: Tree<ParamSpec>, params: Params & P, { rank, isHead }: { rank: number; isHead: (path: string) => boolean }): TrainedPart<P> {
  if (rank === 0) return { trained: params, specs, join: (leaves) => leaves as P, size: parameterCount(params) };
  const { trained, join } = splitParams(params, (path) => isAdapter(path) || isHead(path));
  return {
    trained: trained as Tree<Variable>, join: (leaves) => join(leaves as never) as P, size: parameterCount(trained as Params),
    specs: Object.fromEntries(treeEntries<ParamSpec>(specs).filter(([path]) => Object.hasOwn(trained, path))),
  };
}

/** adaptersInWords — how much of a model is trained. */
export const adaptersInWords = (rank: number, part: number, all: number): string =>
  (rank === 0 ? '' : `; adapters of rank ${rank} and head are trained, ${formatCount(part)} (${((100 * part) / all).toFixed(1)} %)`);

/** saveAdapterHead — writes what the head beside adapters is for. */
export async function saveAdapterHead(directory: string, says: Fields, classes?: readonly string[]): Promise<void> {
  await atomicWriteFile(joinPath(directory, HEAD), `${JSON.stringify({ ...says, ...(classes && { numClasses: classes.length, id2label: Object.fromEntries(classes.entries()) }) }, null, 2)}\n`);
}

/** AdapterInfo — the model to which adapters belong, their rank, and what their head is for. */
export type AdapterInfo = { readonly base: string; readonly rank: number; readonly head: Fields; readonly classes?: readonly string[] };

/** readAdapterInfo — what a directory of adapters says of itself. */
export async function readAdapterInfo(directory: string): Promise<AdapterInfo> {
  const config = await readJsonFile(joinPath(directory, ADAPTERS)) as Fields;
  if (!existsSync(joinPath(directory, HEAD))) {
    throw new ConfigError(`predict: ${directory} must hold ${HEAD}, as finetune --lora writes it, got adapters that do not say what their head is for`);
  }
  const head: unknown = await readJsonFile(joinPath(directory, HEAD));
  const [base, rank] = [config['base_model_name_or_path'], config['r']];
  if (!isText(base) || !isCount(rank)) throw new ConfigError(`predict: ${joinPath(directory, ADAPTERS)} must name base_model_name_or_path and r, got ${JSON.stringify(base)} and ${JSON.stringify(rank)}`);
  if (!isObject(head)) throw new ConfigError(`predict: ${joinPath(directory, HEAD)} must say what the adapters are for, got ${JSON.stringify(head)}`);
  const names = (head as Fields)['id2label'];
  return {
    base: base as string, rank: rank as number, head: head as Fields,
    ...(isObject(names) && { classes: Object.keys(names).map((_, i) => String((names as Fields)[String(i)])) }),
  };
}

/** withAdapters — the parameters of a model with these in the place of its own, which are freed. */
export function withAdapters<P extends Params>(specs: Tree<ParamSpec>, params: P, adapters: Readonly<Record<string, Variable>>): P {
  const entries = treeEntries<Variable>(params);
  dispose(entries.flatMap(([path, variable]) => (Object.hasOwn(adapters, path) ? [variable] : [])));
  return treeFromEntries(specs, entries.map(([path, variable]) => [path, adapters[path] ?? variable] as [string, Variable])) as P;
}

import { concat, dispose, reshape, split, tidy, transpose, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { ConfigError, describeShape, param, ShapeError, treeEntries, treeFromEntries, treePaths, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import type { FloatDtype } from './convert.ts';
import type { Entries, SafetensorsEntry } from './entry.ts';
import { matchStateDict } from './matchStateDict.ts';
import type { SafetensorsFile } from './openSafetensors.ts';
import { entriesFromTensors, tensorFromEntry } from './tensors.ts';

/** NamedWeight — a parameter of a model and the tensor of a checkpoint that holds it: one line of a table of names. */
export type NamedWeight = {
  /** Its path among the parameters: `blocks.0.attn.qkv.weight`. */
  readonly path: string;
  /** Its name in the checkpoint; or several, of tensors that are the parts of its first axis in this order: query, key and value. */
  readonly name: string | readonly string[];
  /** Whether the checkpoint holds each transposed, `in out`. Default false. */
  readonly transposed?: boolean;
  /** The shape in the checkpoint, where the same numbers in the same order have another there. */
  readonly storedShape?: readonly number[];
  /** Where they have also another order: axis i of the parameter, before its last axes are joined, is axis `axes[i]` of `storedShape`. */
  readonly axes?: readonly number[];
};

/** A weight with what its spec says: the tensors that hold it, each with its shape. */
type Placed = NamedWeight & { readonly shape: readonly number[]; readonly sizes: readonly number[]; readonly stored: readonly { readonly name: string; readonly shape: readonly number[] }[] };

/** ParamsFromFileOptions — `where`: how an error begins; `layout`: whose names they are; `nameOf`: see `paramsFromFile`. */
export type ParamsFromFileOptions = { where?: string; layout?: string; nameOf?: (name: string) => string | undefined };

/**
 * paramsFromFile — the parameters of a model from a checkpoint with names of its own.
 *
 * @param specs    of the model.
 * @param weights  every parameter with its name or names.
 * @param file     an open checkpoint.
 * @param options  `nameOf` gives the name in `weights` of a tensor of the file, where files differ (a prefix, an older spelling), or
 *                 undefined for one that is no weight; default: the name itself. `where` and `layout` (`GPT-2`) stand in errors.
 * @returns        variables in the shape of `specs`, the caller's.
 * @throws ConfigError  one line that lists what is missing and unexpected; or if two tensors have one name, or the model, made with other
 *                      techniques, has other parameters than `weights`. ShapeError if only shapes disagree.
 */
export async function paramsFromFile<P = unknown>(
  specs: Tree<ParamSpec>, weights: readonly NamedWeight[], file: SafetensorsFile, { where = 'paramsFromFile', layout = 'the checkpoint', nameOf = (name) => name }: ParamsFromFileOptions = {},
): Promise<Params & P> {
  checkSameParameters(where, layout, specs, weights);
  const placed = place(where, specs, weights);
  const fileName = namesOf(where, file, nameOf);
  matchStateDict(placed.flatMap(({ stored }) => stored), Object.fromEntries([...fileName].map(([name, original]) => [name, file.info(original)])), { where });
  const variables: [string, Variable][] = [];
  try {
    for (const weight of placed) {
      const entries: { name: string; entry: SafetensorsEntry }[] = [];
      for (const { name } of weight.stored) entries.push({ name, entry: await file.read(fileName.get(name) as string) });
      variables.push([weight.path, param(() => toParameter(weight, entries.map(({ name, entry }) => tensorFromEntry(entry, name))))]);
    }
    return treeFromEntries(specs, variables) as Params & P;
  } catch (error) {
    dispose(variables.map(([, variable]) => variable));
    throw error;
  }
}

/** EntriesFromParamsOptions — `dtype` (default F32); `nameOf` gives the name in the file of a name in the table (default: itself). */
export type EntriesFromParamsOptions = { dtype?: FloatDtype; nameOf?: (name: string) => string };

/**
 * entriesFromParams — the parameters of a model as entries of a checkpoint with names of its own: the way back of `paramsFromFile`.
 *
 * @param weights  those to write; parameters that it does not name are left out.
 * @throws ConfigError  if a weight is none of the parameters'; ShapeError if one has another shape than its spec.
 */
export async function entriesFromParams(
  specs: Tree<ParamSpec>, weights: readonly NamedWeight[], params: Tree<Tensor>, { dtype = 'F32', nameOf = (name) => name }: EntriesFromParamsOptions = {},
): Promise<Entries> {
  const placed = place('entriesFromParams', specs, weights);
  const byPath = new Map(treeEntries<Tensor>(params));
  const tensors = tidy(() => Object.fromEntries(placed.flatMap((weight) => {
    const parameter = byPath.get(weight.path);
    if (parameter?.shape.join() !== weight.shape.join()) {
      throw new ShapeError(`entriesFromParams: ${weight.path} must have shape ${describeShape(weight.shape)}, got ${parameter === undefined ? 'none' : describeShape(parameter.shape)}`);
    }
    return toStored(weight, parameter).map((tensor, i) => [nameOf((weight.stored[i] as { name: string }).name), tensor] as const);
  })));
  try {
    return await entriesFromTensors(tensors, { dtype });
  } finally {
    dispose(tensors);
  }
}

/** A technique may compute otherwise than a layout's model, but with its parameters. */
function checkSameParameters(where: string, layout: string, specs: Tree<ParamSpec>, weights: readonly NamedWeight[]): void {
  const [own, named] = [treePaths(specs), weights.map(({ path }) => path)];
  const extra = own.find((path) => !named.includes(path));
  const missing = named.find((path) => !own.includes(path));
  if (extra === undefined && missing === undefined) return;
  throw new ConfigError(`${where}: techniques must keep ${layout}'s parameters, got ${extra === undefined ? `none called ${missing}` : `also ${extra}`}`);
}

function place(where: string, specs: Tree<ParamSpec>, weights: readonly NamedWeight[]): Placed[] {
  const byPath = new Map(treeEntries<ParamSpec>(specs));
  return weights.map((weight) => {
    const spec = byPath.get(weight.path);
    if (spec === undefined) throw new ConfigError(`${where}: weights must name parameters of the model, got ${weight.path}`);
    const names = typeof weight.name === 'string' ? [weight.name] : weight.name;
    const sizes = sizesOf(where, spec, names.length, weight.path);
    return { ...weight, shape: spec.shape, sizes, stored: names.map((name, i) => ({ name, shape: storedShape(weight, spec.shape.with(0, sizes[i] as number)) })) };
  });
}

/** `spec.shape[0]` in as many parts as there are names: those of the spec if it has that many, else equal ones. */
function sizesOf(where: string, { shape, parts }: ParamSpec, count: number, path: string): readonly number[] {
  if (count === 1) return [shape[0] as number];
  if (parts?.length === count) return parts;
  const size = (shape[0] as number) / count;
  if (!Number.isInteger(size)) throw new ConfigError(`${where}: the first axis of ${path} must have ${count} equal parts, got ${describeShape(shape)}`);
  return Array.from({ length: count }, () => size);
}

const storedShape = ({ transposed = false, storedShape: other }: NamedWeight, shape: readonly number[]): readonly number[] => other ?? (transposed ? [...shape].reverse() : shape);

/** The names in the table of what the file holds, each with its name in the file. */
function namesOf(where: string, file: SafetensorsFile, nameOf: (name: string) => string | undefined): Map<string, string> {
  const fileName = new Map<string, string>();
  for (const original of file.names) {
    const name = nameOf(original);
    if (name === undefined) continue;
    const other = fileName.get(name);
    if (other !== undefined) throw new ConfigError(`${where}: the checkpoint must hold ${name} once, got ${other} and ${original}`);
    fileName.set(name, original);
  }
  return fileName;
}

/** One parameter from the tensors that hold it. */
function toParameter({ transposed = false, axes, shape, sizes }: Placed, stored: readonly Tensor[]): Tensor {
  const inOrder = (tensor: Tensor): Tensor => (axes === undefined ? tensor : transpose(tensor, [...axes]));
  const parts = stored.map((tensor, i) => (transposed ? transpose(tensor) : reshape(inOrder(tensor), shape.with(0, sizes[i] as number))));
  return parts.length === 1 ? (parts[0] as Tensor) : concat(parts, 0);
}

/** The way back; each tensor is a new one. */
function toStored({ transposed = false, axes, sizes, stored }: Placed, parameter: Tensor): Tensor[] {
  const parts = sizes.length === 1 ? [parameter] : split(parameter, [...sizes], 0);
  return parts.map((part, i) => {
    const { shape } = stored[i] as { shape: readonly number[] };
    if (transposed) return transpose(part);
    return axes === undefined ? reshape(part, [...shape]) : transpose(reshape(part, axes.map((axis) => shape[axis] as number)), axes.map((_, axis) => axes.indexOf(axis)));
  });
}

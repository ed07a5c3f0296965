import { tidy, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { checkDtype, checkShape, ConfigError, treeEntries, treeMap, type Tree } from '@evenkeel/core-tensor';

/** leafOf — finds leaves of `tree` by path; a path it lacks is an error that names `fn` and `arg`. */
export function leafOf<T>(fn: string, arg: string, tree: Tree<T>): (path: string) => T {
  const leaves = new Map(treeEntries<T>(tree));
  return (path) => foundLeaf(fn, arg, path, leaves);
}

function foundLeaf<T>(fn: string, arg: string, path: string, leaves: ReadonlyMap<string, T>): T {
  const leaf = leaves.get(path);
  if (leaf === undefined) throw new ConfigError(`${fn}: ${arg} must have a leaf for ${path || 'params'}, got ${leaves.size} others`);
  return leaf;
}

/** ZippedLeaves — the parameters, their paths, and the leaves of other trees that belong to them, all in one order. */
export type ZippedLeaves<K extends string> = { paths: string[]; params: Variable[]; lists: Record<K, Tensor[]> };

/**
 * mapLists — `f` of all parameters and the leaves of the other trees that belong to them, as lists, for kernels that work on all
 * of them at once.
 *
 * Everything is checked before `f` is called, so that a state is changed wholly or not at all.
 *
 * @param trees  named trees (`grads`, `mu`, …) with the structure and shapes of `params`.
 * @param f      returns one tensor per parameter.
 * @returns      the tree of results, owned by the caller.
 * @throws ConfigError  if a tree lacks a path of `params`, or has leaves that no parameter has.
 * @throws ShapeError   if a leaf is not float32 or has another shape than its parameter.
 */
export function mapLists<K extends string>(
  fn: string, params: Tree<Variable>, trees: Record<K, Tree<Tensor>>, f: (leaves: ZippedLeaves<K>) => readonly Tensor[],
): Tree<Tensor> {
  const entries = treeEntries<Variable>(params);
  const lists = Object.fromEntries(Object.entries<Tree<Tensor>>(trees).map(([name, tree]) => [name, leavesFor(fn, name, tree, entries)])) as Record<K, Tensor[]>;
  return tidyTree(fn, () => {
    const results = f({ paths: entries.map(([path]) => path), params: entries.map(([, param]) => param), lists });
    let next = 0;
    return treeMap(() => results[next++] as Tensor, params);
  });
}

type Shaped = { readonly shape: readonly number[] };

/** leavesFor — the leaves of `tree` in the order of `entries`, each of the shape that the entry has; errors as of `mapLists`. */
export function leavesFor(fn: string, name: string, tree: Tree<Tensor>, entries: readonly (readonly [path: string, like: Shaped])[]): Tensor[] {
  const leaves = new Map(treeEntries<Tensor>(tree));
  const found = entries.map(([path, { shape }]) => {
    const leaf = foundLeaf(fn, name, path, leaves);
    checkDtype(fn, argAt(name, path), leaf, 'float32');
    checkShape(fn, argAt(name, path), leaf, [...shape]);
    return leaf;
  });
  if (leaves.size !== entries.length) throw new ConfigError(`${fn}: ${name} must have the ${entries.length} leaves of params, got ${leaves.size}`);
  return found;
}

/** mapLeaves — `mapLists` one parameter at a time: `f(param, its leaves, path)`, each call a tidy of its own. */
export function mapLeaves<K extends string>(
  fn: string, params: Tree<Variable>, trees: Record<K, Tree<Tensor>>,
  f: (param: Variable, leaves: Record<K, Tensor>, path: string) => Tensor,
): Tree<Tensor> {
  const names = Object.keys(trees) as K[];
  return mapLists(fn, params, trees, ({ paths, params: variables, lists }) => variables.map((param, i) => {
    const leaves = Object.fromEntries(names.map((name) => [name, lists[name][i]])) as Record<K, Tensor>;
    return tidy(() => f(param, leaves, paths[i] as string));
  }));
}

/** argAt — how a leaf is named in a message: `grads.blocks.3.weight`. */
export const argAt = (arg: string, path: string): string => (path === '' ? arg : `${arg}.${path}`);

/** tidyTree — a tidy whose result is a tree of tensors. */
export function tidyTree(name: string, f: () => Tree<Tensor>): Tree<Tensor> {
  return tidy(name, () => f() as TensorContainer) as Tree<Tensor>;
}

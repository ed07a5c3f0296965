import { tidy, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { checkShape, ConfigError, treeEntries, treeMap, type Tree } from '@evenkeel/core-tensor';

/** leafOf — finds leaves of `tree` by path; a path it lacks is an error that names `fn` and `arg`. */
export function leafOf<T>(fn: string, arg: string, tree: Tree<T>): (path: string) => T {
  const leaves = new Map(treeEntries<T>(tree));
  return (path) => {
    const leaf = leaves.get(path);
    if (leaf === undefined) throw new ConfigError(`${fn}: ${arg} must have a leaf for ${path || 'params'}, got ${leaves.size} others`);
    return leaf;
  };
}

/**
 * mapLeaves — `f(param, leaves, path)` for every parameter, given the leaves of the other trees at its path.
 *
 * Everything is checked before `f` is first called, so that a state is changed wholly or not at all.
 *
 * @param trees  named trees (`grads`, `mu`, …) with the structure and shapes of `params`.
 * @returns      the tree of results, owned by the caller; each call of `f` is a tidy of its own.
 * @throws ConfigError  if a tree lacks a path of `params`, or `grads` has leaves that no parameter has.
 * @throws ShapeError   if a leaf has another shape than its parameter.
 */
export function mapLeaves<K extends string>(
  fn: string, params: Tree<Variable>, trees: Record<K, Tree<Tensor>>,
  f: (param: Variable, leaves: Record<K, Tensor>, path: string) => Tensor,
): Tree<Tensor> {
  const names = Object.keys(trees) as K[];
  const finders = names.map((name) => [name, leafOf<Tensor>(fn, name, trees[name])] as const);
  const zipped = new Map(treeEntries<Variable>(params).map(([path, param]) => {
    const leaves = finders.map(([name, find]) => [name, find(path)] as const);
    for (const [name, leaf] of leaves) checkShape(fn, argAt(name, path), leaf, param.shape);
    return [path, Object.fromEntries(leaves) as Record<K, Tensor>];
  }));
  for (const name of names) checkCount(fn, name, treeEntries(trees[name]).length, zipped.size);
  return tidyTree(fn, () => treeMap((param, path) => tidy(() => f(param, zipped.get(path) as Record<K, Tensor>, path)), params));
}

/** argAt — how a leaf is named in a message: `grads.blocks.3.weight`. */
export const argAt = (arg: string, path: string): string => (path === '' ? arg : `${arg}.${path}`);

function checkCount(fn: string, name: string, count: number, expected: number): void {
  if (count !== expected) throw new ConfigError(`${fn}: ${name} must have the ${expected} leaves of params, got ${count}`);
}

/** tidyTree — a tidy whose result is a tree of tensors. */
export function tidyTree(name: string, f: () => Tree<Tensor>): Tree<Tensor> {
  return tidy(name, () => f() as TensorContainer) as Tree<Tensor>;
}

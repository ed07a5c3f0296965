import { ConfigError } from './errors.ts';

/**
 * Tree — plain nested arrays and objects with leaves of type `T`. A leaf's path (`blocks.3.attn.qkv.weight`) is its name
 * everywhere: in checkpoints, masks, plans and error messages.
 */
export type Tree<T> = T | readonly Tree<T>[] | { readonly [key: string]: Tree<T> };

/** isNode — whether `tree` is an inner node: an array or a plain object (a tensor is neither, so it is a leaf). */
function isNode(tree: unknown): tree is Record<string, unknown> | unknown[] {
  if (Array.isArray(tree)) return true;
  if (typeof tree !== 'object' || tree === null) return false;
  const prototype: unknown = Object.getPrototypeOf(tree);
  return prototype === Object.prototype || prototype === null;
}

/** A specification such as ParamSpec is itself a plain object: it says so by this property, and is then a leaf. */
const isSpec = (tree: unknown): boolean => typeof tree === 'object' && tree !== null && 'role' in tree && 'axes' in tree;

const isLeaf = (tree: unknown): boolean => !isNode(tree) || isSpec(tree);

const childPath = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);

/**
 * treeEntries — `[path, leaf]` of every leaf, depth first, in the order of the keys; `undefined` leaves are left out.
 *
 * @throws ConfigError  if two leaves have one path, as in `{ 'a.b': x, a: { b: y } }`.
 */
export function treeEntries<T>(tree: Tree<T>): [path: string, leaf: T][] {
  const entries: [string, T][] = [];
  const paths = new Set<string>();
  const visit = (node: unknown, path: string): void => {
    if (node === undefined) return;
    if (!isLeaf(node)) {
      for (const [key, child] of Object.entries(node as object)) visit(child, childPath(path, key));
      return;
    }
    if (paths.has(path)) throw new ConfigError(`treeEntries: every leaf must have a path of its own, got two leaves at ${path}`);
    paths.add(path);
    entries.push([path, node as T]);
  };
  visit(tree, '');
  return entries;
}

/** treeLeaves — the leaves, in the order of `treeEntries`. */
export function treeLeaves<T>(tree: Tree<T>): T[] {
  return treeEntries(tree).map(([, leaf]) => leaf);
}

/** treePaths — the paths, in the order of `treeEntries`. */
export function treePaths<T>(tree: Tree<T>): string[] {
  return treeEntries(tree).map(([path]) => path);
}

/**
 * treeMap — a tree of the same structure whose leaves are `f(leaf, ...leaves of rest, path)`.
 *
 * @param f     called once per leaf, in the order of `treeEntries`.
 * @param tree  decides the structure; `rest` must contain it.
 * @throws ConfigError  if a tree of `rest` lacks a path of `tree`.
 */
export function treeMap<T, R>(f: (leaf: T, path: string) => R, tree: Tree<T>): Tree<R> {
  return mapNode([tree], '', (leaves, path) => f(leaves[0] as T, path)) as Tree<R>;
}

/** treeMap2 — `treeMap` over two trees at once: leaves are `f(a, b, path)`. */
export function treeMap2<A, B, R>(f: (a: A, b: B, path: string) => R, a: Tree<A>, b: Tree<B>): Tree<R> {
  return mapNode([a, b], '', ([x, y], path) => f(x as A, y as B, path)) as Tree<R>;
}

function mapNode(nodes: readonly unknown[], path: string, f: (leaves: readonly unknown[], path: string) => unknown): unknown {
  const [node, ...rest] = nodes;
  if (isLeaf(node)) return node === undefined ? undefined : f(nodes, path);
  const mapChild = (key: string): unknown => {
    const at = childPath(path, key);
    const children = rest.map((other) => {
      const isMissing = isLeaf(other) || !Object.hasOwn(other as object, key);
      if (isMissing) throw new ConfigError(`treeMap: every tree must have ${at}, got one without it`);
      return (other as Record<string, unknown>)[key];
    });
    return mapNode([(node as Record<string, unknown>)[key], ...children], at, f);
  };
  if (Array.isArray(node)) return node.map((_, index) => mapChild(String(index)));
  return Object.fromEntries(Object.keys(node as object).map((key) => [key, mapChild(key)]));
}

/**
 * treeFromEntries — the tree with the structure of `like` and the leaves named in `entries`.
 *
 * @throws ConfigError  if a path of `like` has no entry, or two leaves of `like` have one path.
 */
export function treeFromEntries<T>(like: Tree<unknown>, entries: Iterable<readonly [path: string, leaf: T]>): Tree<T> {
  const byPath = new Map(entries);
  treeEntries(like); // refuses paths that do not tell leaves apart
  return treeMap((_, path) => {
    const leaf = byPath.get(path);
    if (leaf === undefined) throw new ConfigError(`treeFromEntries: entries must contain ${path}, got ${byPath.size} others`);
    return leaf;
  }, like);
}

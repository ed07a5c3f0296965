import { treeLeaves, type Tree } from '@evenkeel/core-tensor';

/** LayerNode — the parameters of one layer, or their specs, by name. */
export type LayerNode<T> = Readonly<Record<string, T>>;

/** NodeMap — what becomes of a node, given its path: undefined leaves it to its children. */
export type NodeMap<T, R> = (node: LayerNode<T>, path: string) => Tree<R> | undefined;

/** childPath — the path of the child `name` of a node. */
export const childPath = (node: string, name: string): string => (node === '' ? name : `${node}.${name}`);

/** mapNodes — a tree of the same structure in which some nodes are replaced as a whole, and every leaf outside of them by `ofLeaf`. */
export function mapNodes<T, R>(tree: Tree<T>, ofNode: NodeMap<T, R>, ofLeaf: (leaf: T) => R): Tree<R> {
  const leaves = new Set<unknown>(treeLeaves(tree));
  const visit = (node: Tree<T>, path: string): Tree<R> => {
    if (leaves.has(node)) return ofLeaf(node as T);
    if (node === undefined) return undefined as never; // an absent parameter stays absent
    const replaced = ofNode(node as LayerNode<T>, path);
    if (replaced !== undefined) return replaced;
    const children = Object.entries(node as LayerNode<T>).map(([name, child]) => [name, visit(child as Tree<T>, childPath(path, name))] as const);
    return Array.isArray(node) ? children.map(([, child]) => child) : Object.fromEntries(children);
  };
  return visit(tree, '');
}

/** pickNodes — what `ofNode` makes of some nodes, nested as these are, and nothing else; undefined if there are none. */
export function pickNodes<T, R>(tree: Tree<T>, ofNode: NodeMap<T, R>): Tree<R> | undefined {
  const leaves = new Set<unknown>(treeLeaves(tree));
  const visit = (node: Tree<T>, path: string): Tree<R> | undefined => {
    if (node === undefined || leaves.has(node)) return undefined;
    const picked = ofNode(node as LayerNode<T>, path);
    if (picked !== undefined) return picked;
    const children = Object.entries(node as LayerNode<T>).flatMap(([name, child]) => {
      const inside = visit(child as Tree<T>, childPath(path, name));
      return inside === undefined ? [] : [[name, inside] as const];
    });
    return children.length === 0 ? undefined : Object.fromEntries(children);
  };
  return visit(tree, '');
}

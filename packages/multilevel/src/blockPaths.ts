import { ConfigError, treeEntries, type ParamSpec, type Tree } from '@evenkeel/core-tensor';

/** Place — a parameter's path, taken apart where it names a block: `blocks.3.mlp.up.weight` is block 3 of the stack `blocks`, at `mlp.up.weight`. */
export type Place = { readonly path: string; readonly spec: ParamSpec; readonly stack?: string; readonly block?: number; readonly inside?: string };

/** placesOf — every parameter of a model in the order of its specs; `spec.block` says which are in a block, the first number in the path which one. */
export function placesOf(fn: string, specs: Tree<ParamSpec>): Place[] {
  return treeEntries<ParamSpec>(specs).map(([path, spec]) => {
    if (spec.block === undefined) return { path, spec };
    const parts = path.split('.');
    const at = parts.findIndex((part) => /^\d+$/.test(part));
    if (at < 0) throw new ConfigError(`${fn}: ${path} must name its block by a number, as in blocks.3.…, since its spec has block ${spec.block}, got none`);
    return { path, spec, stack: parts.slice(0, at).join('.'), block: Number(parts[at]), inside: parts.slice(at + 1).join('.') };
  });
}

/** pathIn — the path of the same parameter in another block. */
export const pathIn = (block: number, { stack, inside }: Place): string => [stack, block, inside].filter((part) => part !== '').join('.');

/** depthsOf — the number of blocks of each stack. */
export function depthsOf(places: readonly Place[]): Map<string, number> {
  const depths = new Map<string, number>();
  for (const { stack, block } of places) if (stack !== undefined) depths.set(stack, Math.max(depths.get(stack) ?? 0, (block as number) + 1));
  return depths;
}

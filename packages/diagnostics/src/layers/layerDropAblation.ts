import { ConfigError, treeEntries, treeMap, type Tree } from '@evenkeel/core-tensor';
import { dispose, zerosLike, type Tensor } from '@tensorflow/tfjs-core';

/** Writers — names, within a block, of the layers whose output reaches the residual stream last in their branch. */
const WRITERS = ['norm1Out', 'norm2Out', 'attn.proj', 'mlp.down'] as const;

/**
 * withoutBlock — the parameters of a model with block `block` switched off: whatever its two branches add last is 0, so that the stream passes
 * unchanged. For blocks of @evenkeel/layers whose norms are not on the sum: placements pre, peri, output, lns and none.
 *
 * @returns  the tree with some leaves replaced by zeros; free them with `made`, the rest are those of `params`.
 * @throws ConfigError  if there is no such block, or nothing in it is known to write to the residual stream.
 */
export function withoutBlock(params: Tree<Tensor>, block: number): { params: Tree<Tensor>; made: Tensor[] } {
  const inBlock = treeEntries<Tensor>(params).flatMap(([path]) => (path.startsWith(`blocks.${block}.`) ? [path] : []));
  const silenced = new Set(WRITERS.flatMap((writer) => silencedOf(inBlock, `blocks.${block}.${writer}.`)));
  if (silenced.size === 0) throw new ConfigError(`withoutBlock: params must have a blocks.${block} with ${WRITERS.slice(2).join(' and ')}, got ${inBlock.length} parameters of it`);
  const made: Tensor[] = [];
  const zero = (leaf: Tensor): Tensor => {
    const zeros = zerosLike(leaf);
    made.push(zeros);
    return zeros;
  };
  return { params: treeMap((leaf, path) => (silenced.has(path) ? zero(leaf) : leaf), params), made };
}

/** A factor such as a reparametrisation's `gamma` is enough to silence a weight, whose norm may be divided by. */
function silencedOf(paths: readonly string[], prefix: string): string[] {
  const own = paths.filter((path) => path.startsWith(prefix));
  const hasFactor = own.includes(`${prefix}gamma`);
  return own.filter((path) => path === `${prefix}bias` || path === (hasFactor ? `${prefix}gamma` : `${prefix}weight`));
}

/** LayerDrops — the measure of the whole model, and by how much it changes without each block. */
export type LayerDrops = { readonly full: number; readonly drops: readonly number[] };

/**
 * layerDropAblation — what each block is worth: the change of a measure, such as the validation loss, when it is left out without training
 * anything anew.
 *
 * @param evaluate  the measure of a model with these parameters: `(p) => losses.mean(…)`; must not keep them.
 * @param params    with a list `blocks`.
 * @param without   how a block is left out; default `withoutBlock`.
 * @returns         drops[l] = evaluate(without block l) − evaluate(all).
 * @throws ConfigError  if `params` has no blocks; see `withoutBlock`.
 *
 * Source: Sun et al. 2025, arXiv:2502.05795, §3.
 */
export async function layerDropAblation(
  evaluate: (params: Tree<Tensor>) => Promise<number> | number, params: Tree<Tensor>, without: typeof withoutBlock = withoutBlock,
): Promise<LayerDrops> {
  const { blocks } = params as { readonly blocks?: readonly unknown[] };
  if (!Array.isArray(blocks) || blocks.length === 0) throw new ConfigError(`layerDropAblation: params must have a list blocks, got ${Object.keys(params).join(', ') || 'nothing'}`);
  const full = await evaluate(params);
  const drops: number[] = [];
  for (const block of blocks.keys()) {
    const { params: left, made } = without(params, block);
    try {
      drops.push(await evaluate(left) - full);
    } finally {
      dispose(made);
    }
  }
  return { full, drops };
}

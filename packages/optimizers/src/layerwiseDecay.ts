import { checkRange, ConfigError, treeEntries, treeMap, type ParamSpec, type Tree } from '@evenkeel/core-tensor';

export type LayerwiseDecayOptions = { decay: number };

/**
 * layerwiseDecay — smaller learning rates the further a parameter is from the output, for fine-tuning: factors `decay^distance`.
 *
 * The distance of what follows the last block (the final norm, the head) is 0, that of block i of n is n − i, that of embeddings and
 * whatever else stands before the first block n + 1.
 *
 * @param specs    `model.specs`.
 * @param options  `decay` in (0, 1]: 0.65 to 0.9 are usual.
 * @returns        factors in the structure of the specs, for `learningRateScales`.
 * @throws ConfigError  if `decay` is outside (0, 1], or no parameter says which block it is of.
 *
 * Source: Clark et al. 2020, arXiv:2003.10555, appendix B; Bao et al. 2021, arXiv:2106.08254, §3.
 */
export function layerwiseDecay(specs: Tree<ParamSpec>, { decay }: LayerwiseDecayOptions): Tree<number> {
  checkRange('layerwiseDecay', 'decay', decay, Number.MIN_VALUE, 1);
  const entries = treeEntries<ParamSpec>(specs);
  const first = entries.findIndex(([, { block }]) => block !== undefined);
  if (first < 0) throw new ConfigError(`layerwiseDecay: specs must have parameters of blocks, got ${entries.length} without`);
  const blocks = 1 + Math.max(...entries.map(([, { block = 0 }]) => block));
  const before = new Set(entries.slice(0, first).map(([path]) => path));
  return treeMap(({ block, role }: ParamSpec, path) => {
    const input = role === 'embedding' || before.has(path) ? blocks + 1 : 0;
    return decay ** (block === undefined ? input : blocks - block);
  }, specs);
}

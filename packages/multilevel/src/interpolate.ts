import { checkRange, checkShape, ConfigError, param, treeEntries, treeMap2, type Params, type Tree } from '@evenkeel/core-tensor';
import { add, clone, mul, type Tensor } from '@tensorflow/tfjs-core';

/**
 * interpolate — between the large model as it was and what its small model has become.
 *
 *     θ = (1 − alpha) · saved + alpha · decoalesced        for every parameter, embeddings included
 *
 * @param saved        the large model's parameters just before `coalesce`: not those of a finished run.
 * @param decoalesced  what `decoalesce` made of the trained small model.
 * @param alpha        from 0, which gives `saved`, to 1, which gives `decoalesced`, both bit for bit; 0.25 to 0.5 is usual.
 * @returns            fresh variables, the caller's to free; both arguments stay as they are.
 * @throws ConfigError  if `alpha` is out of range or the trees have different parameters.
 * @throws ShapeError   if shapes differ.
 *
 * Source: Zou et al. 2024, arXiv:2404.07999, §3.3.
 */
export function interpolate(saved: Tree<Tensor>, decoalesced: Tree<Tensor>, alpha: number): Params {
  checkRange('interpolate', 'alpha', alpha, 0, 1);
  checkSameShapes(saved, decoalesced);
  return treeMap2((before, after) => param(() => between(before, after, alpha)), saved, decoalesced);
}

function checkSameShapes(saved: Tree<Tensor>, decoalesced: Tree<Tensor>): void {
  const [before, after] = [saved, decoalesced].map((tree) => new Map(treeEntries<Tensor>(tree))) as [Map<string, Tensor>, Map<string, Tensor>];
  for (const [path, { shape }] of before) {
    const tensor = after.get(path);
    if (tensor === undefined) throw new ConfigError(`interpolate: decoalesced must have ${path}, got ${after.size} others`);
    checkShape('interpolate', `decoalesced.${path}`, tensor, shape);
  }
  const extra = [...after.keys()].find((path) => !before.has(path));
  if (extra !== undefined) throw new ConfigError(`interpolate: decoalesced must have the parameters of saved only, got ${extra} besides`);
}

/** The ends are copies: 0 · x is not 0 for every x. */
function between(before: Tensor, after: Tensor, alpha: number): Tensor {
  if (alpha === 0) return clone(before);
  return alpha === 1 ? clone(after) : add(mul(before, 1 - alpha), mul(after, alpha));
}

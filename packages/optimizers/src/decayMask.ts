import { treeMap, type ParamRole, type ParamSpec, type Tree } from '@evenkeel/core-tensor';

const DECAYING: readonly ParamRole[] = ['hidden', 'head', 'embedding'];

/**
 * decayMask — which parameters weight decay should pull towards 0: matrices and embeddings, not norms, biases and scalars.
 *
 * @param specs  `model.specs`.
 * @returns      a tree of booleans of the same structure, for `mask` of `adamw`, `sgd` and `addDecayedWeights`.
 *
 * The same choice as nanoGPT's "two axes or more", made by role, so that a bias kept as a matrix is still a bias.
 */
export function decayMask(specs: Tree<ParamSpec>): Tree<boolean> {
  return treeMap((spec) => DECAYING.includes(spec.role), specs);
}

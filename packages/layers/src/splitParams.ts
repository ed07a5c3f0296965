import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { ConfigError, treeEntries, treeFromEntries, type Tree } from '@evenkeel/core-tensor';

/** SplitParams — `trained`: the chosen parameters by path, to be trained; `join` puts them, or other tensors in their place, back into the whole. */
export type SplitParams<P> = { readonly trained: Readonly<Record<string, Variable>>; readonly join: (trained: Tree<Tensor>) => P };

/**
 * splitParams — the part of a model's parameters that is trained, so that no gradient of the others is computed:
 *
 *     const { trained, join } = splitParams(params, (path) => path.startsWith('head.'));
 *     train({ params: trained, loss: (p, batch) => model.loss(batch, join(p)), … })
 *
 * Nothing is copied: the variables are those of `params`.
 *
 * @throws ConfigError  if no parameter is chosen.
 */
export function splitParams<P>(params: P, isTrained: (path: string) => boolean): SplitParams<P> {
  const entries = treeEntries<Variable>(params as Tree<Variable>);
  const trained = Object.fromEntries(entries.filter(([path]) => isTrained(path)));
  if (Object.keys(trained).length === 0) throw new ConfigError(`splitParams: isTrained must choose a parameter, got none of ${entries.length}`);
  return { trained, join: (given) => treeFromEntries<Tensor>(params as Tree<unknown>, [...entries, ...treeEntries<Tensor>(given)]) as P };
}

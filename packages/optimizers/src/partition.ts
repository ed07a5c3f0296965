import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { ConfigError, treeEntries, treeFromEntries, treeMap, type GradientTransform, type OptimizerState, type Tree } from '@evenkeel/core-tensor';
import { leafOf, leavesFor, tidyTree } from './leaves.ts';

/** PartitionState — the state of each group's optimizer, by the group's name. */
export type PartitionState = { groups: { [group: string]: OptimizerState } };

/**
 * partition — different optimizers for different parameters of one model.
 *
 *     partition(treeMap(({ role }) => (role === 'hidden' ? 'matrices' : 'rest'), model.specs), { matrices: lion(…), rest: adamw(…) })
 *
 * Each sees only its own parameters, so a norm over all of them (`clipByGlobalNorm`) belongs before it in a chain.
 *
 * @param groups      the name of a group for each parameter, in the structure of the parameters.
 * @param optimizers  by the name of the group; one whose group is empty is not used.
 * @throws ConfigError  if a group has no optimizer, or a parameter no group; later, if a gradient is missing.
 *
 * Source: optax' `multi_transform`.
 */
export function partition(groups: Tree<string>, optimizers: Readonly<Record<string, GradientTransform>>): GradientTransform<PartitionState> {
  const groupOf = leafOf<string>('partition', 'groups', groups);
  for (const [path, group] of treeEntries<string>(groups)) {
    if (!Object.hasOwn(optimizers, group)) throw new ConfigError(`partition: groups.${path} must be one of ${Object.keys(optimizers).join(', ')}, got ${group}`);
  }
  /** The tree without the leaves of other groups. */
  const within = <T>(tree: Tree<T>, group: string): Tree<T> => treeMap((leaf: T, path) => (groupOf(path) === group ? leaf : undefined), tree) as Tree<T>;
  const used = (params: Tree<Variable>): string[] => [...new Set(treeEntries<Variable>(params).map(([path]) => groupOf(path)))];
  return Object.freeze({
    init: (params: Tree<Variable>) =>
      ({ groups: Object.fromEntries(used(params).map((group) => [group, (optimizers[group] as GradientTransform).init(within(params, group))])) }),
    update: (grads: Tree<Tensor>, state: PartitionState, params: Tree<Variable>) => {
      leavesFor('partition', 'grads', grads, treeEntries<Variable>(params)); // all of them before any state changes
      return tidyTree('partition', () => {
        const updates = used(params).map((group) =>
          (optimizers[group] as GradientTransform).update(within(grads, group), stateOf(state, group), within(params, group)));
        return treeFromEntries<Tensor>(params, updates.flatMap((tree) => treeEntries<Tensor>(tree)));
      });
    },
  });
}

function stateOf({ groups }: PartitionState, group: string): OptimizerState {
  const state = groups[group];
  if (state === undefined) throw new ConfigError(`partition: state must have the group ${group}, got ${Object.keys(groups).join(', ')}. Was it made by this optimizer's init?`);
  return state;
}

import { dispose, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { ConfigError, type GradientTransform, type OptimizerState, type Tree } from '@evenkeel/core-tensor';
import { tidyTree } from './leaves.ts';

/** ChainState — the state of each link, in order. */
export type ChainState = { links: OptimizerState[] };

/**
 * chain — applies gradient transforms one after the other: the updates of each are the gradients of the next.
 *
 * What a link returned is freed once the next has read it, so the peak is the gradients plus two sets of updates at the
 * moment of a link, and one afterwards.
 *
 * A link that throws leaves those before it one step further: their state has changed, the parameters have not.
 *
 * @param links  at least one; the last decides what is added to the parameters.
 * @throws ConfigError  if there is no link.
 *
 * Source: optax' `chain`.
 */
export function chain(...links: readonly GradientTransform[]): GradientTransform<ChainState> {
  if (links.length === 0) throw new ConfigError('chain: links must have at least one transform, got none');
  return Object.freeze({
    init: (params: Tree<Variable>) => ({ links: links.map((link) => link.init(params)) }),
    update: (grads: Tree<Tensor>, state: ChainState, params: Tree<Variable>) => {
      checkLinks(state, links.length);
      return tidyTree('chain', () => links.reduce((incoming, link, index) => {
        const updates = link.update(incoming, state.links[index] as OptimizerState, params);
        if (index > 0) dispose(incoming as TensorContainer);
        return updates;
      }, grads));
    },
  });
}

function checkLinks(state: ChainState, count: number): void {
  if (state.links?.length !== count) {
    throw new ConfigError(`chain: state must have the states of ${count} links, got ${state.links?.length ?? 'none'}. Was it made by this chain's init?`);
  }
}

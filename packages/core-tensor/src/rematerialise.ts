import { clone, Variable, type Tensor } from '@tensorflow/tfjs-core';
import { engineInternals } from './engineInternals.ts';
import { ConfigError } from './errors.ts';
import { vjp } from './valueAndGrad.ts';
import { treeEntries, treeFromEntries, type Tree } from './tree.ts';

/**
 * rematerialise — the same function, which keeps only its arguments for the backward pass and computes everything else again
 * there (activation checkpointing): memory of one call instead of the sum over all calls, for about a third more time.
 *
 * Randomness inside `fn` must come from seeds, as all of ours does, so that both runs draw the same numbers.
 *
 * @param fn  `(x, params) => tensor`; must take every trained variable through its arguments.
 * @returns   a function of the same signature; nestable and differentiable twice.
 * @throws ConfigError  in the backward pass, if `fn` used a trainable variable that was not passed to it.
 *
 * Source: Chen et al. 2016, arXiv:1604.06174.
 */
export function rematerialise<X extends Tree<Tensor>, P extends Tree<Tensor>>(fn: (x: X, params: P) => Tensor): (x: X, params: P) => Tensor {
  return (x, params) => {
    const args = { x, params } as { readonly [key: string]: Tree<Tensor> };
    const entries = treeEntries<Tensor>(args);
    const paths = entries.map(([path]) => path);
    return engineInternals().runKernelFunc({
      inputs: Object.fromEntries(entries),
      forwardFunc: (_, save) => {
        const y = fn(x, params); // before `save`: what was saved would leak if `fn` threw
        save(entries.map(([, leaf]) => leaf));
        return entries.some(([, leaf]) => leaf === y) ? clone(y) : y;
      },
      backwardsFunc: (dy, saved) => {
        const copy = treeFromEntries<Tensor>(args, paths.map((path, i) => [path, saved[i] as Tensor] as const)) as { x: X; params: P };
        const floats = saved.flatMap((leaf, i) => (leaf.dtype === 'float32' ? [i] : []));
        const { grads } = vjp(() => guarded(() => fn(copy.x, copy.params)), floats.map((i) => saved[i] as Tensor), dy as Tensor);
        return Object.fromEntries(floats.map((index, i) => [paths[index] as string, () => grads[i] as Tensor]));
      },
    }) as Tensor;
  };
}

/** Runs `f` on the tape and refuses variables that came from outside: their gradient would be lost without a word. */
function guarded(f: () => Tensor): Tensor {
  const { state } = engineInternals();
  const start = state.activeTape?.length ?? 0;
  const y = f();
  for (const node of (state.activeTape ?? []).slice(start)) {
    const outsider = Object.values(node.inputs).find((input) => input instanceof Variable && input.trainable);
    if (outsider === undefined) continue;
    throw new ConfigError(
      `rematerialise: fn must take every trained variable through its arguments, got one of shape [${outsider.shape.join(', ')}] from outside`);
  }
  return y;
}

import { clone, Variable, type Tensor } from '@tensorflow/tfjs-core';
import { engineInternals } from './engineInternals.ts';
import { ConfigError } from './errors.ts';
import { isWalked } from './tape.ts';
import { vjp } from './valueAndGrad.ts';
import { treeEntries, treeFromEntries, type Tree } from './tree.ts';

/**
 * rematerialise — the same function, which keeps only its arguments for the backward pass and computes everything else again
 * there (activation checkpointing): memory of one call instead of the sum over all calls, for about a third more time.
 *
 * Randomness inside `fn` must come from seeds, as all of ours does, so that both runs draw the same numbers.
 *
 * @param fn  `(x, params) => tensor`; must take everything that a gradient flows to or through by its arguments, and constants
 *            too unless they outlive the backward pass.
 * @returns   a function of the same signature; nestable and differentiable twice.
 * @throws ConfigError  in the backward pass, if `fn` used a trainable variable that was not passed to it, a tensor from outside
 *   that `valueAndGrad` or `vjp` differentiates through (tfjs' own `grad` does not say what it does), or one freed meanwhile.
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
        const { grads } = vjp(() => guarded(() => fn(copy.x, copy.params), saved), floats.map((i) => saved[i] as Tensor), dy as Tensor);
        return Object.fromEntries(floats.map((index, i) => [paths[index] as string, () => grads[i] as Tensor]));
      },
    }) as Tensor;
  };
}

/** Runs `f` on the tape and refuses what came from outside and needs a gradient: it would be lost without a word. */
function guarded(f: () => Tensor, args: readonly Tensor[]): Tensor {
  const { state } = engineInternals();
  const start = state.activeTape?.length ?? 0;
  const y = explained(f);
  const isOutsider = (input: Tensor): boolean => (input instanceof Variable && input.trainable) || (isWalked(input) && !args.includes(input));
  for (const node of (state.activeTape ?? []).slice(start)) {
    const outsider = Object.values(node.inputs).find((input: Tensor | undefined) => input !== undefined && isOutsider(input));
    if (outsider === undefined) continue;
    throw new ConfigError(
      `rematerialise: fn must take every tensor that needs a gradient through its arguments, got one of shape [${outsider.shape.join(', ')}] from outside`);
  }
  return y;
}

/** Runs `f`, which has worked in the forward pass, and says why it finds a tensor freed now: tfjs' own words would not. */
function explained(f: () => Tensor): Tensor {
  try {
    return f();
  } catch (error) {
    if (!(error instanceof Error && /reading 'backend'|is disposed/.test(error.message))) throw error;
    throw new ConfigError('rematerialise: fn must take every tensor through its arguments, got one from outside that has been freed since', { cause: error });
  }
}

import { tidy, variable, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import type { Initialiser } from './initialisers.ts';
import type { ParamSpec } from './paramSpec.ts';
import { foldSeed, type Seed } from './seed.ts';
import { treeMap, type Tree } from './tree.ts';

/** Params — the trained values of a model: a tree of variables, named by their paths. */
export type Params = Tree<Variable>;

/** param — a trainable variable that starts as `init()`; nothing else of `init` survives. Free it with `tf.dispose`. */
export function param(init: () => Tensor, { trainable = true }: { trainable?: boolean } = {}): Variable {
  // `variable` keeps a second reference to the initial value, and a tidy frees it; the variable itself is never in a scope.
  return tidy(() => variable(init(), trainable));
}

/** stateVariable — a variable that is saved but never trained: moments, running statistics, power-iteration vectors. */
export const stateVariable = (init: () => Tensor): Variable => param(init, { trainable: false });

/**
 * initParams — one variable per spec, each from its own seed `foldSeed(seed, path)`: a parameter's first values do not depend
 * on which other parameters the model has, unless its initialiser reads those beside it.
 */
export function initParams(specs: Tree<ParamSpec>, seed: Seed, initialiserOf: (spec: ParamSpec, path: string) => Initialiser): Params {
  const nodes = new Map<string, Record<string, Variable>>();
  return treeMap((spec, path) => {
    const dot = path.lastIndexOf('.');
    const [node, name] = [path.slice(0, Math.max(0, dot)), path.slice(dot + 1)];
    const siblings = nodes.get(node) ?? {};
    nodes.set(node, siblings);
    return (siblings[name] = param(() => initialiserOf(spec, path)(spec, foldSeed(seed, path), siblings)));
  }, specs);
}

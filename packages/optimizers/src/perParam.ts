import { checkRange, ConfigError, treeEntries, type Tree } from '@evenkeel/core-tensor';
import { checkWeightDecay, decayOf } from './addDecayedWeights.ts';
import { argAt, leafOf } from './leaves.ts';

/** PerParamOptions — in what an optimizer may treat parameters differently: trees in the structure of the parameters. */
export type PerParamOptions = {
  /** True where a parameter decays; default everywhere. `decayMask(specs)` makes one. */
  mask?: Tree<boolean>;
  /** Factors of the learning rate, and with it of a decay that the learning rate scales; default 1. `layerwiseDecay` and `muP` make them. */
  learningRateScales?: Tree<number>;
};

/** PerParamNumbers — one number per parameter, in the order of the paths. */
export type PerParamNumbers = { readonly weightDecays: number[]; readonly scales: number[] };

/**
 * perParam — the decay and the learning-rate scale of each parameter, by path.
 *
 * @throws ConfigError  if `weightDecay` or a scale is not a finite number ≥ 0; later, if a tree lacks a path.
 */
export function perParam(fn: string, { weightDecay, mask, learningRateScales }: PerParamOptions & { weightDecay: number }): (paths: readonly string[]) => PerParamNumbers {
  checkWeightDecay(fn, weightDecay);
  const decays = decayOf(fn, mask);
  const scale = scaleOf(fn, learningRateScales);
  return (paths) => ({ weightDecays: paths.map((path) => (decays(path) ? weightDecay : 0)), scales: paths.map(scale) });
}

/**
 * scaleOf — the learning-rate scale of the parameter of a path; 1 without a tree.
 *
 * @throws ConfigError  if a scale is not a finite number ≥ 0; later, if the tree lacks the path.
 */
export function scaleOf(fn: string, scales: Tree<number> | undefined, arg = 'learningRateScales'): (path: string) => number {
  if (scales === undefined) return () => 1;
  for (const [path, scale] of treeEntries<number>(scales)) checkRange(fn, argAt(arg, path), scale, 0, Number.MAX_VALUE);
  return leafOf<number>(fn, arg, scales);
}

/** axesMask — true for the parameters of two axes or more, unless a tree says otherwise: `choice` of each path. */
export function axesMask(fn: string, arg: string, choice: Tree<boolean> | undefined): (path: string, shape: readonly number[]) => boolean {
  if (choice === undefined) return (_, shape) => shape.length > 1;
  for (const [path, leaf] of treeEntries<unknown>(choice)) {
    if (typeof leaf !== 'boolean') throw new ConfigError(`${fn}: ${arg}.${path} must be true or false, got ${String(leaf)}`);
  }
  return leafOf<boolean>(fn, arg, choice);
}

import { engine, mul, tidy, type NamedAttrMap, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { engineInternals } from './engineInternals.ts';
import { hasKernel } from './fusedOp.ts';

/** TensorLists — lists of equal length, such as all parameters and all their gradients. */
export type TensorLists = { readonly [name: string]: readonly Tensor[] };

/** hasListKernel — whether `runListKernel` may be used: the active backend has that kernel, and nothing records, as it has no gradient. */
export function hasListKernel(name: string): boolean {
  return !engineInternals().isTapeOn() && hasKernel(name);
}

/**
 * runListKernel — calls a kernel of the active backend that works on whole lists of tensors, such as an optimizer's step on all
 * parameters. The kernel finds tensor i of the list `param` as its input `param.i`.
 *
 * A kernel that writes into some of its inputs says so in its contract; give those to `unshare` first.
 */
export function runListKernel(name: string, lists: TensorLists, attrs: object = {}): Tensor[] {
  const inputs: Record<string, Tensor> = {};
  for (const [list, tensors] of Object.entries(lists)) tensors.forEach((tensor, i) => { inputs[`${list}.${i}`] = tensor; });
  return engine().runKernel(name, inputs, attrs as NamedAttrMap) as Tensor[];
}

/** unshare — gives a copy of its values to each variable that shares them with another tensor, so that they may be written over. */
export function unshare(variables: readonly Variable[]): void {
  const backend = engineInternals().backend as { refCount(dataId: object): number };
  for (const variable of variables) {
    if (backend.refCount(variable.dataId) !== 1) tidy('unshare', () => variable.assign(mul(variable, 1)));
  }
}

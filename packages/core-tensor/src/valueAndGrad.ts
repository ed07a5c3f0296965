import { tidy, zeros, type Scalar, type Tensor, type TensorContainer } from '@tensorflow/tfjs-core';
import { ConfigError, ShapeError } from './errors.ts';
import { backpropagate, freeSaved, record, type Recording } from './tape.ts';
import { treeEntries, treeFromEntries, type Tree } from './tree.ts';

export type ValueAndGradOptions = {
  /** What to do with a parameter that the loss does not use: throw (default), or give it a gradient of zeros. */
  unused?: 'error' | 'zero';
};

/**
 * valueAndGrad — the loss and its gradient with respect to every leaf of `params`.
 *
 * Peak memory is that of the forward pass plus the gradients still in flight: each incoming gradient and saved tensor is freed
 * as soon as it was used. May be nested: `valueAndGrad` inside `fn` gives second derivatives.
 *
 * @param fn      called once with `params`; returns the loss, one float32 number. Intermediates are freed for it.
 * @param params  tree of variables or tensors; borrowed.
 * @returns       `value` and `grads` (a tree like `params`), owned by the caller.
 * @throws ShapeError   if the loss is not a single float32 number.
 * @throws ConfigError  if no gradient reached a parameter; the message names its path.
 */
export function valueAndGrad<P extends Tree<Tensor>>(
  fn: (params: P) => Tensor, params: P, { unused = 'error' }: ValueAndGradOptions = {},
): { value: Scalar; grads: GradsOf<P> } {
  const entries = treeEntries<Tensor>(params);
  if (entries.length === 0) throw new ConfigError('valueAndGrad: params must have at least one leaf, got an empty tree');
  const xs = entries.map(([, leaf]) => leaf);
  const result: TensorContainer = tidy('valueAndGrad', (): TensorContainer => {
    const recording = record(() => fn(params));
    checkLoss(recording);
    const found = backpropagate(recording, xs);
    const grads = entries.map(([path, leaf], i) => [path, found[i] ?? unreached(path, leaf, unused)] as const);
    return { value: recording.value, grads: treeFromEntries<Tensor>(params as Tree<unknown>, grads) as TensorContainer };
  });
  return result as unknown as { value: Scalar; grads: GradsOf<P> };
}

/** GradsOf — the tree of gradients of `params`: the same structure, with tensors for leaves. */
export type GradsOf<P> = P extends Tensor ? Tensor : { [K in keyof P]: GradsOf<P[K]> };

/**
 * vjp — the result of `fn` and the product of a vector with its Jacobian, for each of `inputs`.
 *
 * @param fn      uses `inputs` as it finds them (it takes no arguments) and returns a float32 tensor.
 * @param inputs  tensors to differentiate with respect to; borrowed.
 * @param dy      gradient with respect to the result, of its shape; borrowed.
 * @returns       `value`, and one gradient per input, zeros where `fn` does not use it; owned by the caller.
 */
export function vjp(fn: () => Tensor, inputs: readonly Tensor[], dy: Tensor): { value: Tensor; grads: Tensor[] } {
  return tidy('vjp', () => {
    const recording = record(fn);
    const { value } = recording;
    if (value.shape.join() !== dy.shape.join()) {
      freeIfOutermost(recording);
      throw new ShapeError(`vjp: dy must have shape [${value.shape.join(', ')}], got [${dy.shape.join(', ')}]`);
    }
    const grads = backpropagate(recording, inputs, dy).map((grad, i) => grad ?? zeros((inputs[i] as Tensor).shape));
    return { value, grads };
  });
}

function unreached(path: string, leaf: Tensor, unused: 'error' | 'zero'): Tensor {
  if (unused === 'zero') return zeros(leaf.shape);
  throw new ConfigError(`valueAndGrad: no gradient reached ${path === '' ? 'params' : path}. Is it used by the loss?`);
}

function checkLoss(recording: Recording): void {
  const { value } = recording;
  if (value.size === 1 && value.dtype === 'float32') return;
  freeIfOutermost(recording);
  throw new ShapeError(`valueAndGrad: fn must return one float32 number, got ${value.dtype} [${value.shape.join(', ')}]`);
}

function freeIfOutermost({ tape, isOutermost }: Recording): void {
  if (isOutermost) freeSaved(tape);
}

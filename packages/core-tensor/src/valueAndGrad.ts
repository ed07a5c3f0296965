import { clone, Tensor, tidy, zeros, type Scalar, type TensorContainer } from '@tensorflow/tfjs-core';
import { checkDtype, checkOneOf, describeShape } from './check.ts';
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
 * @param params  tree of float32 variables or tensors; borrowed. A leaf that stands at two places has its whole gradient at both.
 * @returns       `value` and `grads` (a tree of the type of `params`, with plain tensors for leaves), owned by the caller.
 * @throws ShapeError   if the loss is not a single float32 number, or a leaf of `params` is not float32.
 * @throws ConfigError  if no gradient reached a parameter (the message names its path), or `unused` is neither `error` nor `zero`.
 */
export function valueAndGrad<P extends Tree<Tensor>>(
  fn: (params: P) => Tensor, params: P, { unused = 'error' }: ValueAndGradOptions = {},
): { value: Scalar; grads: P } {
  checkOneOf('valueAndGrad', 'unused', unused, ['error', 'zero']);
  const entries = treeEntries<Tensor>(params);
  if (entries.length === 0) throw new ConfigError('valueAndGrad: params must have at least one leaf, got an empty tree');
  for (const [path, leaf] of entries) checkDtype('valueAndGrad', path === '' ? 'params' : path, leaf, 'float32');
  const xs = entries.map(([, leaf]) => leaf);
  const result: TensorContainer = tidy('valueAndGrad', (): TensorContainer => {
    const recording = record(() => fn(params));
    checkLoss(recording);
    const found = backpropagate(recording, xs);
    const grads = entries.map(([path, leaf], i) => [path, found[i] ?? unreached(path, leaf, unused)] as const);
    return { value: clone(recording.value), grads: treeFromEntries<Tensor>(params as Tree<unknown>, grads) as TensorContainer };
  });
  return result as unknown as { value: Scalar; grads: P };
}

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
    if (!(value instanceof Tensor) || value.dtype !== 'float32') {
      freeIfOutermost(recording);
      throw new ShapeError(`vjp: fn must return a float32 tensor, got ${describe(value)}`);
    }
    if (value.shape.join() !== dy.shape.join()) {
      freeIfOutermost(recording);
      throw new ShapeError(`vjp: dy must have shape ${describeShape(value.shape)}, got ${describeShape(dy.shape)}`);
    }
    const grads = backpropagate(recording, inputs, dy).map((grad, i) => grad ?? zeros((inputs[i] as Tensor).shape));
    return { value: clone(value), grads };
  });
}

function unreached(path: string, leaf: Tensor, unused: 'error' | 'zero'): Tensor {
  if (unused === 'zero') return zeros(leaf.shape);
  throw new ConfigError(`valueAndGrad: no gradient reached ${path === '' ? 'params' : path}. Is it used by the loss? Use it, or pass { unused: 'zero' }.`);
}

function checkLoss(recording: Recording): void {
  const { value } = recording;
  if (value instanceof Tensor && value.size === 1 && value.dtype === 'float32') return;
  freeIfOutermost(recording);
  throw new ShapeError(`valueAndGrad: fn must return one float32 number, got ${describe(value)}`);
}

/** What a function returned that should have returned a tensor. */
function describe(value: unknown): string {
  if (value instanceof Tensor) return `${value.dtype} ${describeShape(value.shape)}`;
  return value instanceof Promise ? 'a promise' : String(value);
}

function freeIfOutermost({ tape, isOutermost }: Recording): void {
  if (isOutermost) freeSaved(tape);
}

import { dispose, tensor, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { param, treeEntries, treeMap, valueAndGrad, type GradientTransform, type OptimizerState, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { applyUpdates } from '@evenkeel/optimizers';
import { randomArray } from '@evenkeel/testing';

/** Odd sizes, nesting, an array and a scalar: what a model's tree can look like. */
export const specs = {
  embed: { shape: [13, 5], axes: 'vocab dim', role: 'embedding' },
  blocks: [
    { norm: { shape: [65], axes: 'dim', role: 'norm' }, weight: { shape: [3, 65], axes: 'out in', role: 'hidden', block: 0 } },
    { bias: { shape: [130], axes: 'dim', role: 'bias', block: 1 } },
  ],
  head: { weight: { shape: [1, 7], axes: 'out in', role: 'head' } },
  gain: { shape: [], axes: '', role: 'scalar' },
} as const satisfies Tree<ParamSpec>;

export const makeParams = (seed = 1): Tree<Variable> => makeLeaves(seed, (leaf) => param(() => leaf()));

export const makeTensors = (seed: number, std = 1): Tree<Tensor> => makeLeaves(seed, (leaf) => leaf(), std);

function makeLeaves<T>(seed: number, make: (leaf: () => Tensor) => T, std = 1): Tree<T> {
  let next = seed * 1000;
  return treeMap<ParamSpec, T>(({ shape }) => {
    const seedOfLeaf = next++;
    const size = shape.reduce((product, length) => product * length, 1);
    return make(() => tensor(randomArray(size, { seed: seedOfLeaf, std }), [...shape], 'float32'));
  }, specs);
}

/** One optimizer step with given gradients. */
export function step<S extends OptimizerState>(optimizer: GradientTransform<S>, grads: Tree<Tensor>, state: S, params: Tree<Variable>): void {
  const updates = optimizer.update(grads, state, params);
  applyUpdates(params, updates);
  free(updates);
}

/** Everything of a tree or state by path: numbers as they are, tensors as copies of their values. */
export async function snapshot(tree: Tree<unknown>): Promise<Record<string, number | number[]>> {
  const entries = treeEntries<unknown>(tree).map(async ([path, leaf]) =>
    [path, typeof leaf === 'number' ? leaf : Array.from(await (leaf as Tensor).data())] as const);
  return Object.fromEntries(await Promise.all(entries));
}

export const free = (...trees: (Tree<unknown> | OptimizerState)[]): void => dispose(trees as TensorContainer);

type Gradients = (loss: (params: Tree<Variable>) => Tensor, params: Tree<Variable>) => { value: Tensor; grads: Tree<Tensor> };

/** `valueAndGrad` for a tree of unknown structure. */
export const lossAndGrads = valueAndGrad as unknown as Gradients;

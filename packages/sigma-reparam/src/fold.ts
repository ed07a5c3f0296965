import { checkDtype, checkShape, ConfigError, param, treeEntries, type Params, type Tree } from '@evenkeel/core-tensor';
import { clone, Tensor, type Variable } from '@tensorflow/tfjs-core';
import { effectiveWeight } from './effectiveWeight.ts';
import { matrixShape } from './matrixOf.ts';
import { childPath, mapNodes, pickNodes, type LayerNode } from './nodes.ts';

type Gauged = { readonly weight: Tensor; readonly gamma: Tensor };

const isGauged = (node: LayerNode<unknown>): boolean => node['weight'] instanceof Tensor && node['gamma'] instanceof Tensor;

/**
 * foldSigmaReparam — plain parameters that compute the same: (gamma / sigma) · W for each reparametrised weight, for inference and for
 * export, in the tree of a model without the reparametrisation.
 *
 * @param params  the tree of variables or tensors; borrowed, like `state`.
 * @param state   its untrained values, as `state.init` made them and `state.update` has kept them.
 * @returns       a new tree of variables, the caller's, that shares nothing with `params`.
 * @throws ConfigError  naming the first layer whose gamma has no vectors in `state`, or whose vectors have no gamma in `params`.
 * @throws ShapeError   if vectors do not fit their weight, or a gamma is not one number.
 */
export function foldSigmaReparam(params: Tree<Tensor>, state: Tree<Tensor>): Params {
  const vectors = new Map(treeEntries<Tensor>(state));
  checkPairs(params, vectors);
  const copy = (x: Tensor): Variable => param(() => clone(x));
  return mapNodes<Tensor, Variable>(params, (node, path) => {
    if (!isGauged(node)) return undefined;
    const { weight, gamma, ...rest } = node as LayerNode<Tensor> & Gauged;
    const [u, v] = ['u', 'v'].map((name) => vectors.get(childPath(path, name))) as [Tensor, Tensor];
    const folded = param(() => effectiveWeight({ weight, gamma }, { u, v }));
    return { weight: folded, ...Object.fromEntries(Object.entries(rest).map(([name, x]) => [name, copy(x)])) };
  }, copy);
}

function check(path: string, x: Tensor, shape: readonly number[]): void {
  checkShape('foldSigmaReparam', path, x, shape);
  checkDtype('foldSigmaReparam', path, x, 'float32');
}

/** Every gamma has its vectors, of the right sizes, and the other way round. */
function checkPairs(params: Tree<Tensor>, vectors: ReadonlyMap<string, Tensor>): void {
  const unused = new Set(vectors.keys());
  pickNodes<Tensor, never>(params, (node, path) => {
    if (!isGauged(node)) return undefined;
    const [outDim, inDim] = matrixShape((node as Gauged).weight.shape);
    for (const [name, size] of [['u', outDim], ['v', inDim]] as const) {
      const at = childPath(path, name);
      if (!unused.delete(at)) throw new ConfigError(`foldSigmaReparam: state must have ${at}, whose gamma is in params, got none`);
      check(at, vectors.get(at) as Tensor, [size]);
    }
    check(childPath(path, 'gamma'), (node as Gauged).gamma, [1]);
    return undefined;
  });
  const [first] = unused;
  if (first !== undefined) throw new ConfigError(`foldSigmaReparam: params must have a gamma for ${first} of state, got none`);
}

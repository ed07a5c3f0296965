import { abs, add, div, dispose, mul, tidy, type Tensor, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { checkPositive, checkRange, treeEntries, treeMap, valueAndGrad, type GradientMethod, type Tree } from '@evenkeel/core-tensor';
import { globalNorm } from './globalNorm.ts';
import { scaledSums } from './scaledSums.ts';

export type SamOptions = {
  rho?: number;
  /** Whether the step to the neighbour is in proportion to each weight. */
  adaptive?: boolean;
  eta?: number;
};

/** Added to the norm: where there is no gradient there is no neighbour either. */
const EPS = 1e-12;

/**
 * sam — the gradient not at the parameters but at the worst point near them, which leads to flat minima: a GradientMethod, in place of
 * `valueAndGrad` in a training step; the optimizer stays what it is.
 *
 *     near  = params + rho · g / ‖g‖                              with g the gradient at params
 *     near  = params + rho · t² g / ‖t g‖,  t = |param| + eta     if adaptive
 *     grads = the gradient at near;  value = the loss at params
 *
 * The loss runs twice, so a step takes twice the time, and its randomness must come from a seed for both to see the same. Norms are over
 * all parameters together. Nothing is read back.
 *
 * @param options  `rho` (0.05; adaptive 0.5 to 2) is a distance in parameters; `adaptive` (false); `eta` (0.01), only if adaptive.
 * @returns        `(fn, params) => { value, grads }`.
 * @throws ConfigError  if `rho` is not positive or `eta` negative.
 *
 * Source: Foret et al. 2020, arXiv:2010.01412, algorithm 1; adaptive: Kwon et al. 2021, arXiv:2102.11600, algorithm 1.
 */
export function sam({ rho = 0.05, adaptive = false, eta = 0.01 }: SamOptions = {}): GradientMethod {
  checkPositive('sam', 'rho', rho);
  checkRange('sam', 'eta', eta, 0, Number.MAX_VALUE);
  return (fn, params) => tidy('sam', () => {
    const loss = fn as (leaves: Tree<Tensor>) => Tensor;
    const { value, grads } = valueAndGrad<Tree<Tensor>>(loss, params);
    const near = tidy(() => neighbour(params, grads, { rho, adaptive, eta }) as TensorContainer) as Tree<Tensor>;
    dispose(grads as TensorContainer); // not needed while the loss runs again
    const there = valueAndGrad<Tree<Tensor>>(loss, near);
    return { value, grads: there.grads as TensorContainer };
  }) as unknown as ReturnType<GradientMethod>;
}

function neighbour(params: Tree<Variable>, grads: Tree<Tensor>, { rho, adaptive, eta }: Required<SamOptions>): Tree<Tensor> {
  const entries = treeEntries<Variable>(params);
  const leaves = treeEntries<Tensor>(grads).map(([, grad]) => grad);
  const gradOf = new Map(entries.map(([, param], i) => [param, leaves[i] as Tensor])); // one that stands at two places counts once
  const pairs = [...gradOf];
  const scaleOf = (param: Variable): Tensor => add(abs(param), eta);
  const scaled = adaptive ? pairs.map(([param, grad]) => mul(scaleOf(param), grad)) : pairs.map(([, grad]) => grad);
  const xs = adaptive ? pairs.map(([param], i) => mul(scaleOf(param), scaled[i] as Tensor)) : scaled;
  const factor = div(1, add(globalNorm(scaled), EPS));
  const near = scaledSums({ xs, a: rho, factor, ys: pairs.map(([param]) => param), bs: xs.map(() => 1) });
  const nearOf = new Map(pairs.map(([param], i) => [param, near[i] as Tensor]));
  return treeMap((param: Variable) => nearOf.get(param) as Tensor, params);
}

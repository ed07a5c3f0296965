import {
  checkInteger, checkOneOf, ConfigError, normal, ones, scaledResidual, stateVariable, zeros,
  type ApplyOptions, type Initialiser, type Layer, type LayerPlace, type LayerState, type ParamSpec, type Tree,
} from '@evenkeel/core-tensor';
import { reshape, tidy, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { effectiveWeight } from './effectiveWeight.ts';
import { powerIteration, sigmaOf, type SingularVectors } from './powerIteration.ts';
import { singularVectors } from './singularVectors.ts';

/** GammaInit — what gamma starts at: 1, or the spectral norm of the first weight. */
export type GammaInit = 'one' | 'spectral';

export type SigmaReparamOptions = {
  /**
   * `one` (default): every matrix starts with spectral norm 1, whatever its initialiser. `spectral`: it starts as its initialiser says, and
   * the model as it would without the reparametrisation.
   */
  readonly gammaInit?: GammaInit;
  /** Whether the layer has an offset; default true. */
  readonly bias?: boolean;
  /** How `weight` starts; default N(0, 0.02²), scaled by 1/√(2·depth) where the layer writes to the residual stream. */
  readonly initialiser?: Initialiser;
  /** Steps of the power iteration before the first use; default 15. */
  readonly initIterations?: number;
};

/** SigmaReparamParams — `weight: o i` (as in PyTorch; `o c h w` of a patch map), `gamma: 1`, and `bias: o`, which may be absent. */
export type SigmaReparamParams = { readonly weight: Tensor; readonly gamma: Tensor; readonly bias?: Tensor };

/** DEFAULT_ITERATIONS — of the power iteration before the first use. */
export const DEFAULT_ITERATIONS = 15;

/** gammaSpec — the spec of the scalar that stands beside a weight. */
export const gammaSpec = ({ block }: ParamSpec): ParamSpec => ({ shape: [1], axes: 'one', role: 'scalar', normOf: 'weight', ...(block !== undefined && { block }) });

/** spectralGamma — uᵀ W v as a parameter: what keeps a layer the map that it is. */
export const spectralGamma = (weight: Tensor, vectors: SingularVectors): Tensor => reshape(sigmaOf(weight, vectors), [1]);

/** HeldVectors — u and v as untrained variables. */
export type HeldVectors = { readonly u: Variable; readonly v: Variable };

/** heldVectors — the vectors of a weight after so many steps of the power iteration. */
export const heldVectors = (weight: Tensor, iterations: number): HeldVectors => tidy(() => {
  const { u, v } = singularVectors(weight, { iterations });
  return { u: stateVariable(() => u), v: stateVariable(() => v) };
});

/** vectorsState — u and v as untrained values: converged at first, one step of the power iteration after each step of the optimizer. */
export function vectorsState(iterations: number): LayerState {
  const weightOf = (params: Tree<Tensor>): Tensor => (params as SigmaReparamParams).weight;
  return {
    init: (params) => heldVectors(weightOf(params), iterations),
    update: (params, state) => tidy(() => {
      const held = state as HeldVectors;
      const { u, v } = powerIteration(weightOf(params), held.v);
      held.u.assign(u);
      held.v.assign(v);
    }),
  };
}

/** weightSpec — the spec of a weight: its own, and what its place in the model says of it. */
export function weightSpec(own: Pick<ParamSpec, 'shape' | 'axes' | 'fanIn'>, { role = 'hidden', residualDepth: _, outAxis: __, inAxis: ___, ...about }: LayerPlace): ParamSpec {
  return { ...own, role, ...Object.fromEntries(Object.entries(about).filter(([, value]) => value !== undefined)) };
}

/** spectralLayer — all of a reparametrised layer but what it computes with its weight, for a weight of that spec. */
export function spectralLayer(
  fn: string, weight: ParamSpec, { gammaInit = 'one', bias = true, initialiser, initIterations = DEFAULT_ITERATIONS }: SigmaReparamOptions, { residualDepth }: LayerPlace,
): Pick<Layer, 'specs' | 'initialiserOf' | 'state'> {
  const { shape, axes, fanIn: _, ...about } = weight;
  const biasSpec: ParamSpec = { ...about, shape: shape.slice(0, 1), axes: axes.split(' ')[0] as string, role: 'bias' };
  const weightInit = initialiser ?? (residualDepth === undefined ? normal() : scaledResidual({ depth: residualDepth }));
  const gammaFromWeight: Initialiser = (_spec, _seed, siblings) => tidy(() => {
    const first = siblings?.['weight'];
    if (first === undefined) throw new ConfigError(`${fn}: weight must be made before gamma with gammaInit 'spectral', got no weight`);
    return spectralGamma(first, singularVectors(first, { iterations: initIterations }));
  });
  const initialisers: Readonly<Record<string, Initialiser>> = { weight: weightInit, gamma: gammaInit === 'one' ? ones : gammaFromWeight, bias: zeros };
  return {
    specs: { weight, gamma: gammaSpec(weight), ...(bias && { bias: biasSpec }) },
    initialiserOf: (_spec, path) => initialisers[path] ?? weightInit,
    state: vectorsState(initIterations),
  };
}

/** checkOptions — at construction. */
export function checkOptions(fn: string, { gammaInit = 'one', initialiser, initIterations = DEFAULT_ITERATIONS }: SigmaReparamOptions): void {
  checkOneOf(fn, 'gammaInit', gammaInit, ['one', 'spectral']);
  checkInteger(fn, 'initIterations', initIterations);
  if (initialiser === zeros) throw new ConfigError(`${fn}: initialiser must not be zeros, which have no spectral norm to divide by`);
}

/** weightOf — Ŵ of a layer in a call, from its parameters and the vectors that the call hands it. */
export function weightOf(fn: string, params: Tree<Tensor>, { state }: ApplyOptions): Tensor {
  const { u, v } = (state ?? {}) as Partial<SingularVectors>;
  if (u === undefined || v === undefined) {
    throw new ConfigError(`${fn}: options.state must have the vectors u and v, got ${state === undefined ? 'no state' : Object.keys(state).join(', ')}. `
      + 'Give train({ modelState }) the values model.state.init(params), and the model its context; foldSigmaReparam makes parameters that need none.');
  }
  return effectiveWeight(params as SigmaReparamParams, { u, v });
}

import {
  checkDtype, checkInteger, checkLastDim, checkOneOf, checkRange, checkShape,
  type ApplyOptions, type LayerPlace, type LinearEpilogue, type LinearFactory, type Tree,
} from '@evenkeel/core-tensor';
import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { activations, linear } from './linear.ts';
import { checkOptions, spectralLayer, weightOf, weightSpec, type SigmaReparamOptions, type SigmaReparamParams } from './spectralLayer.ts';

/**
 * sigmaReparam — a linear map whose spectral norm is one learned number, as a value for models: `gpt({ linear: sigmaReparam(), … })`.
 *
 *     y = (gamma / sigma) · x Wᵀ + bias        sigma = uᵀ W v
 *
 * Its state, `u: o` and `v: i`, is a singular pair by power iteration: `initIterations` steps at first, then one after each step of the
 * optimizer (`train({ modelState })`). Training and evaluation read it alike, and only `state.update` writes it. The epilogues of
 * `linear` run in the pass of the product.
 *
 * @param options  see SigmaReparamOptions: `gammaInit` (default `one`), `bias` (default true), `initialiser`, `initIterations` (default 15).
 * @returns        a LinearFactory; its layers have params `weight: o i`, `gamma: 1` (role `scalar`) and `bias: o`.
 * @throws ConfigError  if an option is unknown or out of range, or (when applied) `options.state` is missing.
 * @throws ShapeError   (when applied) if a tensor is not float32 or does not fit.
 *
 * Source: Zhai et al. 2023, arXiv:2303.06296, §3.2. Its code for speech starts gamma at 1, that for vision at sigma of the first weight.
 */
export function sigmaReparam(options: SigmaReparamOptions = {}): LinearFactory {
  checkOptions('sigmaReparam', options);
  return (inDim: number, outDim: number, place: LayerPlace = {}) => {
    checkInteger('sigmaReparam', 'inDim', inDim);
    checkInteger('sigmaReparam', 'outDim', outDim);
    const { outAxis = 'out', inAxis = 'in' } = place;
    const weight = weightSpec({ shape: [outDim, inDim], axes: `${outAxis} ${inAxis}`, fanIn: inDim }, place);
    const applyWith = (x: Tensor, params: Tree<Tensor>, epilogue: LinearEpilogue, call: ApplyOptions = {}): Tensor => {
      checkInputs(x, [outDim, inDim], epilogue);
      const { bias } = params as SigmaReparamParams;
      const { activation, residual, scale = 1 } = epilogue;
      return tidy('sigmaReparam', () => linear({ x, weight: weightOf('sigmaReparam', params, call), bias, residual }, { activation, scale }));
    };
    return {
      ...spectralLayer('sigmaReparam', weight, options, place),
      apply: (x, params, call) => applyWith(x, params, {}, call),
      applyWith,
    };
  };
}

function checkInputs(x: Tensor, [outDim, inDim]: readonly [number, number], { activation, residual, scale = 1 }: LinearEpilogue): void {
  checkDtype('sigmaReparam', 'x', x, 'float32');
  checkLastDim('sigmaReparam', 'x', x, inDim);
  if (activation !== undefined) checkOneOf('sigmaReparam', 'activation', activation, activations);
  if (residual !== undefined) {
    checkDtype('sigmaReparam', 'residual', residual, 'float32');
    checkShape('sigmaReparam', 'residual', residual, x.shape.with(-1, outDim));
  }
  checkRange('sigmaReparam', 'scale', scale, -Number.MAX_VALUE, Number.MAX_VALUE);
}

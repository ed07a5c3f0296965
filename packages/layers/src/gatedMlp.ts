import { checkFunction, checkInteger, checkOneOf, partOptions, type Layer, type LayerPlace, type LinearFactory, type MlpFactory, type Tree } from '@evenkeel/core-tensor';
import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { glu, gluActivations, type GluActivation } from './glu.ts';
import { initialiserOfLayers, specsOfLayers, stateOfLayers } from './layerTree.ts';

export type GatedMlpLayerOptions = {
  /** Width between the linear maps; default 8/3 · dim, rounded up to a multiple of 64. */
  hiddenDim?: number;
  /** Default `silu` (SwiGLU), as in Llama. */
  activation?: GluActivation;
  /** What makes gate and up; default the model's own linear, which always makes down. */
  inner?: LinearFactory;
};

/**
 * gatedMlpLayer — the gated perceptron of a transformer block as a value for models.
 *
 *     y = down(f(gate(x)) · up(x))
 *
 * @param options  `hiddenDim` (default 8/3 · dim, which costs what two maps of 4 · dim cost, rounded up to a multiple of 64; Llama
 *                 rounds to 256); `activation` (default `silu`); `inner` (default the model's linear).
 * @returns        an MlpFactory; its layers have params `{ gate, up, down }`, named as in Llama's checkpoints, each as the
 *                 LinearFactory makes them.
 * @throws ConfigError  if `hiddenDim` is not a positive integer or `activation` is unknown.
 *
 * Source: Shazeer 2020, arXiv:2002.05202, eq. 6; Touvron et al. 2023, arXiv:2302.13971, §2.2, for the width.
 */
export function gatedMlpLayer({ hiddenDim, activation = 'silu', inner }: GatedMlpLayerOptions = {}): MlpFactory {
  if (hiddenDim !== undefined) checkInteger('gatedMlpLayer', 'hiddenDim', hiddenDim);
  if (inner !== undefined) checkFunction('gatedMlpLayer', 'inner', inner, 'linearLayer({ bias: false })');
  checkOneOf('gatedMlpLayer', 'activation', activation, gluActivations);
  return (dim: number, linear: LinearFactory, place: LayerPlace = {}): Layer => {
    const { residualDepth: _, ...rest } = place;
    const inside: LayerPlace = { ...rest, outAxis: 'hidden', inAxis: 'dim' };
    const back: LayerPlace = { ...place, outAxis: 'dim', inAxis: 'hidden' };
    const width = hiddenDim ?? 64 * Math.ceil((8 * dim) / (3 * 64));
    const makeInner = inner ?? linear;
    const layers = { gate: makeInner(dim, width, inside), up: makeInner(dim, width, inside), down: linear(width, dim, back) };
    return {
      specs: specsOfLayers(layers),
      initialiserOf: initialiserOfLayers(layers),
      ...stateOfLayers(layers),
      apply: (x, params, options = {}) => tidy('gatedMlp', () => {
        const { gate, up, down } = params as { gate: Tree<Tensor>; up: Tree<Tensor>; down: Tree<Tensor> };
        const gated = glu(layers.gate.apply(x, gate, partOptions(options, 'gate')), layers.up.apply(x, up, partOptions(options, 'up')), { activation }); // ... f
        return layers.down.apply(gated, down, partOptions(options, 'down'));
      }),
    };
  };
}

import { checkInteger, checkOneOf, partOptions, type Layer, type LayerPlace, type LinearFactory, type MlpFactory, type Tree } from '@evenkeel/core-tensor';
import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { ACTIVATIONS, type Activation } from './activations.ts';
import { initialiserOfLayers, specsOfLayers, stateOfLayers } from './layerTree.ts';

export type MlpLayerOptions = {
  /** Width between the two linear maps; default 4 · dim. */
  hiddenDim?: number;
  /** Default `geluTanh`, as in GPT-2. */
  activation?: Activation;
};

/**
 * mlpLayer — the two-layer perceptron of a transformer block as a value for models.
 *
 *     y = down(activation(up(x)))
 *
 * @param options  `hiddenDim` (default 4 · dim); `activation` (default `geluTanh`).
 * @returns        an MlpFactory; its layers have params `{ up, down }`, each as the LinearFactory makes them.
 * @throws ConfigError  if `hiddenDim` is not a positive integer or `activation` is unknown.
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762, §3.3 (there with ReLU).
 */
export function mlpLayer({ hiddenDim, activation = 'geluTanh' }: MlpLayerOptions = {}): MlpFactory {
  if (hiddenDim !== undefined) checkInteger('mlpLayer', 'hiddenDim', hiddenDim);
  checkOneOf('mlpLayer', 'activation', activation, Object.keys(ACTIVATIONS) as Activation[]);
  return (dim: number, linear: LinearFactory, place: LayerPlace = {}): Layer => {
    const { residualDepth: _, ...rest } = place;
    const inside: LayerPlace = { ...rest, outAxis: 'hidden', inAxis: 'dim' };
    const back: LayerPlace = { ...place, outAxis: 'dim', inAxis: 'hidden' };
    const width = hiddenDim ?? 4 * dim;
    const layers = { up: linear(dim, width, inside), down: linear(width, dim, back) };
    return {
      specs: specsOfLayers(layers),
      initialiserOf: initialiserOfLayers(layers),
      ...stateOfLayers(layers),
      apply: (x, params, options = {}) => tidy('mlp', () => {
        const { up, down } = params as { up: Tree<Tensor>; down: Tree<Tensor> };
        const hidden = layers.up.applyWith?.(x, up, { activation }, partOptions(options, 'up')) ?? ACTIVATIONS[activation](layers.up.apply(x, up, partOptions(options, 'up')));
        return layers.down.apply(hidden, down, partOptions(options, 'down'));
      }),
    };
  };
}

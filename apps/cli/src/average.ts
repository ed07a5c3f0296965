import { dispose, type Variable } from '@tensorflow/tfjs-core';
import { treeLeaves, type LayerState, type Params, type Tree } from '@evenkeel/core-tensor';
import { ema } from '@evenkeel/optimizers';
import type { ModelState, StepContext } from '@evenkeel/training';

/** Following — the untrained values that follow the parameters of a run: those of its layers, and the average of its parameters if it keeps one. */
export type Following = {
  /** Those of the layers. */
  readonly layers: Tree<Variable>;
  /** For `train()`; absent if there is nothing that follows. */
  readonly modelState?: ModelState;
  /** The context of a step as the model's loss takes it. */
  ofLayers(call: StepContext): StepContext;
  /** Calls `use` while the parameters are the average ones. */
  withAverage<T>(use: () => Promise<T>): Promise<T>;
  dispose(): void;
};

/** following — the untrained values of a model whose parameters are averaged with some decay, smaller in the first steps; 0 for no average. */
export function following(state: LayerState, params: Params, decay = 0): Following {
  const layers = state.init(params);
  if (decay === 0) {
    return {
      layers, ...(treeLeaves(layers).length > 0 && { modelState: { values: layers, update: state.update } }),
      ofLayers: (call) => call, withAverage: (use) => use(), dispose: () => dispose(layers as never),
    };
  }
  type Values = { readonly layers: Tree<Variable>; readonly average: Tree<Variable> };
  const mean = ema({ decay, warmup: true });
  const average = mean.init(params);
  return {
    layers,
    modelState: {
      values: { layers, average },
      update: (now, values) => {
        state.update(now, (values as Values).layers);
        mean.update(now, (values as Values).average);
      },
    },
    ofLayers: (call) => ({ ...call, state: (call.state as Values).layers }),
    withAverage: async (use) => {
      mean.swap(params, average);
      return use().finally(() => mean.swap(params, average));
    },
    dispose: () => dispose([layers, average] as never),
  };
}

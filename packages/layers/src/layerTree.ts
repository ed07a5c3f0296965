import { ConfigError, type Initialiser, type Layer, type LayerState, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';

/** LayerTree — layers by name, nested as their parameters are: `{ norm1, attn: { qkv, proj } }`. */
export type LayerTree = { readonly [name: string]: Layer | LayerTree };

const isLayer = (node: Layer | LayerTree): node is Layer => typeof (node as Layer).apply === 'function';

/** specsOfLayers — the specs of a composite layer: each layer replaced by its own specs. */
export function specsOfLayers(layers: LayerTree): Tree<ParamSpec> {
  return Object.fromEntries(Object.entries(layers).map(([name, node]) => [name, isLayer(node) ? node.specs : specsOfLayers(node)]));
}

/**
 * initialiserOfLayers — the `initialiserOf` of a composite layer: asks the layer that owns the path, with the rest of the path.
 *
 * @throws ConfigError  (when called) if no layer owns the path.
 */
export function initialiserOfLayers(layers: LayerTree): (spec: ParamSpec, path: string) => Initialiser {
  return (spec, path) => {
    const [name = '', ...rest] = path.split('.');
    const node = Object.hasOwn(layers, name) ? layers[name] : undefined;
    if (node === undefined) throw new ConfigError(`initialiserOfLayers: path must begin with one of ${Object.keys(layers).join(', ')}, got ${path}`);
    const inside = isLayer(node) ? node.initialiserOf : initialiserOfLayers(node);
    return inside(spec, rest.join('.'));
  };
}

/** stateOfLayers — `{ state }` of a composite layer, with the states of those of its layers that have one; `{}` if none has. */
export function stateOfLayers(layers: LayerTree): { readonly state?: LayerState } {
  const states = Object.entries(layers).flatMap(([name, node]) => {
    const { state } = isLayer(node) ? node : stateOfLayers(node);
    return state === undefined ? [] : [[name, state] as const];
  });
  if (states.length === 0) return {};
  type Nodes<T> = Readonly<Record<string, Tree<T>>>;
  return {
    state: {
      init: (params) => Object.fromEntries(states.map(([name, state]) => [name, state.init((params as Nodes<Tensor>)[name] as Tree<Tensor>)])),
      update: (params, values) => states.forEach(([name, state]) =>
        state.update((params as Nodes<Tensor>)[name] as Tree<Tensor>, (values as Nodes<Variable>)[name] as Tree<Variable>)),
    },
  };
}

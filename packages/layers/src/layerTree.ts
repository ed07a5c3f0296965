import { ConfigError, initParams, type Initialiser, type Layer, type LayerState, type Params, type ParamSpec, type Seed, type Tree } from '@evenkeel/core-tensor';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';

/** LayerTree — layers by name, nested as their parameters are: `{ norm1, attn: { qkv, proj } }`, `{ blocks: [block, block] }`. */
export type LayerTree = { readonly [name: string]: LayerNode } | readonly LayerNode[];
type LayerNode = Layer | LayerTree;

const isLayer = (node: LayerNode): node is Layer => typeof (node as Layer).apply === 'function';
const childrenOf = (layers: LayerTree): [name: string, node: LayerNode][] => Object.entries(layers);

/** specsOfLayers — the specs of a composite layer: each layer replaced by its own specs. */
export function specsOfLayers(layers: LayerTree): Tree<ParamSpec> {
  const specs = childrenOf(layers).map(([name, node]) => [name, isLayer(node) ? node.specs : specsOfLayers(node)] as const);
  return Array.isArray(layers) ? specs.map(([, spec]) => spec) : Object.fromEntries(specs);
}

/**
 * initialiserOfLayers — the `initialiserOf` of a composite layer: asks the layer that owns the path, with the rest of the path.
 *
 * @throws ConfigError  (when called) if no layer owns the path.
 */
export function initialiserOfLayers(layers: LayerTree): (spec: ParamSpec, path: string) => Initialiser {
  return (spec, path) => {
    const [name = '', ...rest] = path.split('.');
    const node = Object.hasOwn(layers, name) ? (layers as Readonly<Record<string, LayerNode>>)[name] : undefined;
    if (node === undefined) throw new ConfigError(`initialiserOfLayers: path must begin with one of ${Object.keys(layers).join(', ')}, got ${path}`);
    const inside = isLayer(node) ? node.initialiserOf : initialiserOfLayers(node);
    return inside(spec, rest.join('.'));
  };
}

/** stateOfLayers — `{ state }` of a composite layer, with the states of those of its layers that have one; `{}` if none has. */
export function stateOfLayers(layers: LayerTree): { readonly state?: LayerState } {
  const states = childrenOf(layers).flatMap(([name, node]) => {
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

/** LayeredModel — what every model says of its parameters, whatever it computes; `P` is the tree that they are. */
export type LayeredModel<P = unknown> = {
  readonly specs: Tree<ParamSpec>;
  /** How each parameter starts, by its path in `specs`. */
  readonly initialiserOf: (spec: ParamSpec, path: string) => Initialiser;
  /** Fresh parameters, each from its own seed. Free them with `tf.dispose`. */
  init(options: { seed: Seed }): Params & P;
  /** Untrained values of its layers, such as the vectors of a power iteration: for `train({ modelState })`. Empty if no layer has any. */
  readonly state: LayerState;
};

const NO_STATE: LayerState = { init: () => ({}), update: () => {} };

/** modelOfLayers — specs, first values and untrained state of a model made of layers: what is left to say is what it computes. */
export function modelOfLayers<P = unknown>(layers: LayerTree): LayeredModel<P> {
  const [specs, initialiserOf] = [specsOfLayers(layers), initialiserOfLayers(layers)];
  return { specs, initialiserOf, init: ({ seed }) => initParams(specs, seed, initialiserOf) as Params & P, state: stateOfLayers(layers).state ?? NO_STATE };
}

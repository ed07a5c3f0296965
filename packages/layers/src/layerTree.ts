import { ConfigError, type Initialiser, type Layer, type ParamSpec, type Tree } from '@evenkeel/core-tensor';

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

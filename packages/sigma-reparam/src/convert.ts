import {
  checkInteger, checkOneOf, ConfigError, describeShape, param, ShapeError, treeEntries,
  type Params, type ParamSpec, type Tree,
} from '@evenkeel/core-tensor';
import { clone, ones, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { childPath, mapNodes, pickNodes, type LayerNode } from './nodes.ts';
import { DEFAULT_ITERATIONS, gammaSpec, heldVectors, spectralGamma, type GammaInit, type HeldVectors, type SigmaReparamParams } from './spectralLayer.ts';

export type ConvertOptions = {
  /** `spectral` (default): the model stays the function that it is. `one`: every converted matrix gets spectral norm 1. */
  readonly gammaInit?: GammaInit;
  /** Steps of the power iteration; default 15. */
  readonly initIterations?: number;
  /** Which parameters are converted; default: those of role `hidden` or `head` with two axes or more. */
  readonly select?: (spec: ParamSpec, path: string) => boolean;
};

/** Converted — parameters, untrained values and specs of a model whose linear maps are `sigmaReparam`; all tensors are the caller's. */
export type Converted = { readonly params: Params; readonly state: Tree<Variable>; readonly specs: Tree<ParamSpec> };

const isMatrix = ({ role, shape }: ParamSpec): boolean => (role === 'hidden' || role === 'head') && shape.length >= 2;

/**
 * convertToSigmaReparam — gives each weight of a parameter tree a gamma, and the state that goes with it: what a model with
 * `linear: sigmaReparam()` and `head: sigmaReparam({ bias: false })` expects, from the parameters of one without.
 *
 * @param params   the tree of variables or tensors; borrowed, and unchanged by whatever happens to the result.
 * @param specs    its specs, `model.specs`.
 * @param options  `gammaInit` (default `spectral`), `initIterations` (default 15), `select`.
 * @returns        new `params` and `state`, the caller's, and the `specs` that describe them.
 * @throws ShapeError   naming the first parameter that is not float32 or not of the shape in its spec.
 * @throws ConfigError  naming the first parameter that the trees do not share, or that cannot get a gamma: one with less than two axes, not
 *                      named `weight`, or that does not stand alone or with a `bias`; or if nothing was selected, or an option is out of range.
 */
export function convertToSigmaReparam(
  params: Tree<Tensor>, specs: Tree<ParamSpec>, { gammaInit = 'spectral', initIterations = DEFAULT_ITERATIONS, select = isMatrix }: ConvertOptions = {},
): Converted {
  checkOneOf('convertToSigmaReparam', 'gammaInit', gammaInit, ['one', 'spectral']);
  checkInteger('convertToSigmaReparam', 'initIterations', initIterations);
  checkTrees(params, specs);
  const chosen = chosenNodes(specs, select);
  const vectors = new Map<string, HeldVectors>();
  const state = pickNodes<Tensor, Variable>(params, ({ weight }, path) => {
    if (!chosen.has(path)) return undefined;
    const held = heldVectors(weight as Tensor, initIterations);
    vectors.set(path, held);
    return held;
  });
  const copy = (x: Tensor): Variable => param(() => clone(x));
  const withGamma = (node: LayerNode<Tensor>, path: string): Tree<Variable> | undefined => {
    const held = vectors.get(path);
    if (held === undefined) return undefined;
    const { weight, bias } = node as LayerNode<Tensor> & SigmaReparamParams;
    const gamma = param(() => (gammaInit === 'one' ? ones([1]) : spectralGamma(weight, held)));
    return { weight: copy(weight), gamma, ...(bias && { bias: copy(bias) }) };
  };
  const specWithGamma = ({ weight, ...rest }: LayerNode<ParamSpec>, path: string): Tree<ParamSpec> | undefined =>
    (chosen.has(path) ? { weight: weight as ParamSpec, gamma: gammaSpec(weight as ParamSpec), ...rest } : undefined);
  return {
    params: mapNodes<Tensor, Variable>(params, withGamma, copy),
    state: state as Tree<Variable>,
    specs: mapNodes<ParamSpec, ParamSpec>(specs, specWithGamma, (spec) => spec),
  };
}

/** Every parameter has its spec, and the other way round; named is the first for which that is not so. */
function checkTrees(params: Tree<Tensor>, specs: Tree<ParamSpec>): void {
  const found = new Map(treeEntries<Tensor>(params));
  const expected = treeEntries<ParamSpec>(specs);
  for (const [path, { shape }] of expected) {
    const x = found.get(path);
    if (x === undefined) throw new ConfigError(`convertToSigmaReparam: params must have ${path}, as specs say, got none`);
    if (x.shape.join() !== shape.join()) throw new ShapeError(`convertToSigmaReparam: ${path} must have shape ${describeShape(shape)}, got ${describeShape(x.shape)}`);
    if (x.dtype !== 'float32') throw new ShapeError(`convertToSigmaReparam: ${path} must have dtype float32, got ${x.dtype}`);
  }
  const paths = new Set(expected.map(([path]) => path));
  const unknown = [...found.keys()].find((path) => !paths.has(path));
  if (unknown !== undefined) throw new ConfigError(`convertToSigmaReparam: specs must have ${unknown}, as params do, got none`);
}

/** The paths of the nodes whose weight was selected; named is the first parameter that cannot get a gamma. */
function chosenNodes(specs: Tree<ParamSpec>, select: (spec: ParamSpec, path: string) => boolean): Set<string> {
  const entries = treeEntries<ParamSpec>(specs);
  const chosen = entries.filter(([path, spec]) => select(spec, path)).map(([path, spec]) => {
    const node = path.slice(0, Math.max(0, path.lastIndexOf('.')));
    if (path !== childPath(node, 'weight')) throw new ConfigError(`convertToSigmaReparam: ${path} must be named weight to get a gamma beside it, got another name`);
    if (spec.shape.length < 2) throw new ConfigError(`convertToSigmaReparam: ${path} must have two axes or more to get a gamma, got shape ${describeShape(spec.shape)}`);
    const isInside = (other: string): boolean => node === '' || other.startsWith(`${node}.`);
    const stranger = entries.find(([other]) => isInside(other) && other !== path && other !== childPath(node, 'bias'));
    if (stranger !== undefined) throw new ConfigError(`convertToSigmaReparam: ${path} must stand alone or with a bias to get a gamma, got ${stranger[0]} beside it`);
    return node;
  });
  if (chosen.length === 0) throw new ConfigError('convertToSigmaReparam: specs must have a weight to convert, got none that was selected');
  return new Set(chosen);
}

import type { ApplyOptions, Layer, NormFactory, Tree } from '@evenkeel/core-tensor';
import { add, mul, type Tensor } from '@tensorflow/tfjs-core';
import type { BlockPlace, PlacementRule } from './placements.ts';

/** ResidualNorms — the norms around a sub-layer, as its placement wants them. */
export type ResidualNorms = { readonly input?: Layer; readonly output?: Layer; readonly sum?: Layer };

/** residualNorms — makes them. */
export function residualNorms({ input, output, sum }: PlacementRule, norm: NormFactory, dim: number, block: number): ResidualNorms {
  const make = (): Layer => norm(dim, { block });
  return { ...(input && { input: make() }), ...(output && { output: make() }), ...(sum && { sum: make() }) };
}

/**
 * normNames — what the norms of sub-layer `name` (`norm1`) are called among the parameters: the only one, or the one of the input, has the
 * plain name.
 */
export function normNames(name: string, norms: ResidualNorms): Readonly<Record<keyof ResidualNorms, string>> {
  return { input: name, output: `${name}Out`, sum: norms.input === undefined ? name : `${name}Sum` };
}

/** SubLayer — a sub-layer with all it takes: `run` is the sub-layer itself, `drop` dropout of what it gives. */
export type SubLayer = {
  readonly norms: ResidualNorms;
  readonly names: Readonly<Record<keyof ResidualNorms, string>>;
  readonly run: (z: Tensor) => Tensor;
  readonly drop: (branch: Tensor) => Tensor;
};

/** Given — what a sub-layer needs of a call of the block. */
type Given = { readonly rule: PlacementRule; readonly at: BlockPlace; readonly params: Readonly<Record<string, Tree<Tensor>>>; readonly optionsOf: (name: string) => ApplyOptions };

/** Stream — the residual stream, as a sum that was not taken yet where a norm can take it on its way. */
export type Stream = { readonly x: Tensor; readonly branch?: Tensor };

/** sumOf — the stream as one tensor. */
export const sumOf = ({ x, branch }: Stream): Tensor => (branch === undefined ? x : add(x, branch));

/** throughSubLayer — the stream after a sub-layer. */
export function throughSubLayer(stream: Stream, { norms, names, run, drop }: SubLayer, { rule, at, params, optionsOf }: Given, observe: (branch: Tensor) => void): Stream {
  const normed = (kind: keyof ResidualNorms, z: Tensor): Tensor => {
    const norm = norms[kind];
    return norm === undefined ? z : norm.apply(z, params[names[kind]] as Tree<Tensor>, optionsOf(names[kind]));
  };
  const scaled = (z: Tensor, scale: PlacementRule['inputScale']): Tensor => (scale === undefined ? z : mul(z, scale(at)));
  const { x, input } = norms.input === undefined ? unnormed(stream) : normOfStream(stream, norms.input, params[names.input] as Tree<Tensor>, optionsOf(names.input));
  const branch = drop(normed('output', scaled(run(scaled(input, rule.inputScale)), rule.outputScale)));
  observe(branch);
  const kept = scaled(x, rule.residualScale);
  return norms.sum === undefined ? { x: kept, branch } : { x: normed('sum', add(kept, branch)) };
}

function unnormed(stream: Stream): { x: Tensor; input: Tensor } {
  const x = sumOf(stream);
  return { x, input: x };
}

/** The stream and its norm; in one pass where the norm has one. */
function normOfStream(stream: Stream, norm: Layer, params: Tree<Tensor>, options: ApplyOptions): { x: Tensor; input: Tensor } {
  if (stream.branch !== undefined && norm.applyToSum !== undefined) {
    const { y, sum } = norm.applyToSum(stream.branch, stream.x, params, options);
    return { x: sum, input: y };
  }
  const x = sumOf(stream);
  return { x, input: norm.apply(x, params, options) };
}

import type { ApplyOptions, Layer, LayerPlace, Tree } from '@evenkeel/core-tensor';
import { add, mul, type Tensor } from '@tensorflow/tfjs-core';
import { factorAt, type BlockPlace, type PlacementRule } from './placements.ts';

/** Stream — the residual stream, as a sum that is not taken yet: the next norm can take it on its way. */
export type Stream = { readonly x: Tensor; readonly branch?: Tensor };

/** sumOf — the stream as one tensor. */
export const sumOf = ({ x, branch }: Stream): Tensor => (branch === undefined ? x : add(x, branch));

/** BranchFactory — makes what acts on a residual branch of `dim` channels, after its norms: `stochasticDepth()`, `layerScale()`. */
export type BranchFactory = (dim: number, place?: LayerPlace) => Layer;

/** ResidualCall — what a residual connection needs of a call of its block. */
export type ResidualCall = {
  readonly params: Readonly<Record<string, Tree<Tensor>>>;
  /** The options for its norm of that name. */
  readonly optionsOf: (name: string) => ApplyOptions;
  /** The part of the stream that is computed further, where not all of it is. */
  readonly keep?: (x: Tensor) => Tensor;
  /** Dropout of what is added to the stream. */
  readonly drop: (branch: Tensor) => Tensor;
  /** Is told what is added to the stream. */
  readonly observe: (branch: Tensor) => void;
};

/** Residual — a residual connection with its norms; `layers` are these by name, in the order in which they are used. */
export type Residual = {
  readonly layers: Readonly<Record<string, Layer>>;
  /** The stream after the sub-layer `f`. */
  apply(stream: Stream, f: (z: Tensor) => Tensor, call: ResidualCall): Stream;
};

/**
 * residual — the residual connection that a placement wants (see PlacementRule).
 *
 * @param index  1 or 2, for the names of its layers: the norm is `norm1`. With several that is the input's; that of the output is always
 *               `norm1Out`, that of the sum beside one of the input `norm1Sum`. What acts on the branch is `branch1`.
 */
export function residual(index: number, rule: PlacementRule, at: BlockPlace, { makeNorm, branch: branchLayer }: { makeNorm: () => Layer; branch?: Layer }): Residual {
  const name = `norm${index}`;
  const names = { input: name, output: `${name}Out`, sum: rule.input === true ? `${name}Sum` : name, branch: `branch${index}` };
  const kinds = (['input', 'output', 'sum'] as const).filter((kind) => rule[kind] === true);
  const layers: Record<string, Layer> = {
    ...Object.fromEntries(kinds.map((kind) => [names[kind], makeNorm()])), ...(branchLayer && { [names.branch]: branchLayer }),
  };
  const [scaleInput, scaleOutput, scaleKept] = (['inputScale', 'outputScale', 'residualScale'] as const).map((name) => times(factorAt(rule, name, at))) as [Map, Map, Map];
  return {
    layers,
    apply(stream, f, { params, optionsOf, keep = (x) => x, drop, observe }) {
      const bound = (kind: keyof typeof names): Bound | undefined => {
        const layer = kind === 'branch' || rule[kind] === true ? layers[names[kind]] : undefined;
        return layer && { layer, params: params[names[kind]] as Tree<Tensor>, options: optionsOf(names[kind]) };
      };
      const { x, normed } = enter(stream, bound('input'));
      const added = through(scaleOutput(f(scaleInput(normed))), bound('output'));
      const branch = drop(through(added, bound('branch')));
      observe(branch);
      const kept = scaleKept(keep(x));
      const sum = bound('sum');
      return sum === undefined ? { x: kept, branch } : { x: through(add(kept, branch), sum) }; // the sum itself is not needed: no applyToSum
    },
  };
}

type Map = (z: Tensor) => Tensor;
type Bound = { readonly layer: Layer; readonly params: Tree<Tensor>; readonly options: ApplyOptions };

const times = (factor: number): Map => (z) => (factor === 1 ? z : mul(z, factor));

const through = (z: Tensor, bound: Bound | undefined): Tensor => (bound === undefined ? z : bound.layer.apply(z, bound.params, bound.options));

/** The stream as one tensor and its norm; in one pass where there is one. */
function enter(stream: Stream, bound: Bound | undefined): { x: Tensor; normed: Tensor } {
  if (stream.branch !== undefined && bound?.layer.applyToSum !== undefined) {
    const { y, sum } = bound.layer.applyToSum(stream.branch, stream.x, bound.params, bound.options);
    return { x: sum, normed: y };
  }
  const x = sumOf(stream);
  return { x, normed: through(x, bound) };
}

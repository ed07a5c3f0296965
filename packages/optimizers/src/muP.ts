import { concat, dispose, slice, tidy, zeros, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import {
  checkInteger, checkOneOf, ConfigError, foldSeed, treeEntries, treeMap, truncatedNormal, type ParamSpec, type Seed, type Tree,
} from '@evenkeel/core-tensor';
import { leafOf } from './leaves.ts';

export type MuPVariant = 'simple' | 'intermediate' | 'full';

/** Either the width or the specs of the model whose learning rate was found. */
export type MuPOptions = ({ baseWidth: number } | { baseSpecs: Tree<ParamSpec> }) & { variant?: MuPVariant };

/** MuP — what a model of another width needs, so that the base model's learning rate is right for it. */
export type MuP = {
  /** Factors of the learning rate, in the structure of the specs: base fan-in over fan-in for linear maps, 1 for everything else. */
  readonly learningRateScales: Tree<number>;
  /** What attention scores are to be scaled by, 1/headDim; undefined except for `full`: then 1/√headDim as usual. */
  readonly attentionScale: number | undefined;
  /**
   * Changes fresh parameters, in place: the head is drawn anew as N(0, base fan-in / fan-in²) cut off at two of its deviations
   * (`intermediate` and `full`), queries start at 0 (`full`). `seed`: that of `model.init`.
   */
  prepare(params: Tree<Variable>, options: { seed: Seed }): void;
};

/**
 * muP — learning rates that can be found with a narrow model and used with a wide one: the update of a linear map is made as many times
 * smaller as it has more inputs than in the base model.
 *
 * `simple` is that alone; `intermediate` also starts the head smaller; `full` also scales attention by 1/headDim, to be given to the
 * model's attention as `scale`, and starts queries at 0. At the base width `simple` changes nothing.
 *
 * @param specs    `model.specs`; maps are the parameters of role hidden or head that have a `fanIn`.
 * @param options  `baseWidth`: channels of the base model's residual stream, if all its fan-ins are in proportion; or `baseSpecs`, of the same
 *                 structure; `variant` (`simple`).
 * @returns        see MuP.
 * @throws ConfigError  if the base lacks a parameter or a width, or the model has no head of its own (`intermediate`) or no `qkv` (`full`).
 *
 * Source: Wortsman et al. 2023, arXiv:2309.14322, §3.2.5; Yang et al. 2022, arXiv:2203.03466. It brings the best learning rate to the same
 * place for all widths; it does not widen the range of those that work.
 */
export function muP(specs: Tree<ParamSpec>, { variant = 'simple', ...base }: MuPOptions): MuP {
  checkOneOf('muP', 'variant', variant, ['simple', 'intermediate', 'full']);
  const baseFanIn = 'baseSpecs' in base ? bySpecs(base.baseSpecs) : byWidth(specs, base.baseWidth);
  const entries = treeEntries<ParamSpec>(specs);
  const heads = variant === 'simple' ? [] : entries.filter(([, spec]) => spec.role === 'head' && isMap(spec));
  const queries = variant === 'full' ? entries.filter(([, { axes }]) => axes.split(' ')[0] === 'qkv') : [];
  const headDims = new Set(queries.flatMap(([, { headDim }]) => headDim ?? []));
  if (variant !== 'simple' && heads.length === 0) throw new ConfigError('muP: specs must have a head, got a model without one. Use variant simple, or a head of its own.');
  if (variant === 'full' && headDims.size !== 1) throw new ConfigError(`muP: specs must have qkv maps of one headDim, got ${[...headDims].join(', ') || 'none'}`);
  return Object.freeze({
    learningRateScales: treeMap((spec: ParamSpec, path) => (isMap(spec) ? baseFanIn(path, spec.fanIn) / spec.fanIn : 1), specs),
    attentionScale: variant === 'full' ? 1 / ([...headDims][0] as number) : undefined,
    prepare: (params: Tree<Variable>, { seed }: { seed: Seed }) => {
      const paramOf = leafOf<Variable>('muP', 'params', params);
      for (const [path, spec] of heads) {
        const { fanIn } = spec as LinearSpec;
        redraw(paramOf(path), truncatedNormal({ std: Math.sqrt(baseFanIn(path, fanIn)) / fanIn })(spec, foldSeed(seed, path)));
      }
      for (const [path, { parts = [] }] of queries) withoutQueries(paramOf(path), parts[0] ?? 0);
    },
  });
}

type LinearSpec = ParamSpec & { readonly fanIn: number };

const isMap = (spec: ParamSpec): spec is LinearSpec => spec.fanIn !== undefined && (spec.role === 'hidden' || spec.role === 'head');

type BaseFanIn = (path: string, fanIn: number) => number;

function bySpecs(baseSpecs: Tree<ParamSpec>): BaseFanIn {
  const specOf = leafOf<ParamSpec>('muP', 'baseSpecs', baseSpecs);
  return (path) => {
    const { fanIn } = specOf(path);
    if (fanIn === undefined) throw new ConfigError(`muP: baseSpecs.${path} must have a fanIn, got none`);
    return fanIn;
  };
}

function byWidth(specs: Tree<ParamSpec>, baseWidth: number): BaseFanIn {
  checkInteger('muP', 'baseWidth', baseWidth);
  const widths = new Set(treeEntries<ParamSpec>(specs).flatMap(([, { axes, shape }]) => {
    const axis = axes.split(' ').indexOf('dim');
    return axis < 0 ? [] : [shape[axis] as number];
  }));
  if (widths.size !== 1) throw new ConfigError(`muP: specs must have one size of the axis dim, got ${[...widths].join(', ') || 'none'}. Use baseSpecs.`);
  const width = [...widths][0] as number;
  return (_, fanIn) => (fanIn * baseWidth) / width;
}

function redraw(param: Variable, values: Tensor): void {
  param.assign(values);
  dispose(values);
}

/** The first rows of a map to queries, keys and values become 0. */
function withoutQueries(param: Variable, rows: number): void {
  const others = param.shape.slice(1);
  const start = [rows, ...others.map(() => 0)];
  tidy(() => param.assign(concat([zeros([rows, ...others]), slice(param as Tensor, start)])));
}

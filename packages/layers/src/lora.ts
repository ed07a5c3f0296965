import {
  checkFunction, checkInteger, checkPositive, checkProbability, ConfigError, foldSeed, param, randomUniform, treeEntries, zeros,
  type LayerPlace, type LinearFactory, type LinearLayer, type ParamSpec, type Params, type Tree,
} from '@evenkeel/core-tensor';
import { add, concat, matMul, mul, split, tidy, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { dropout as dropoutOp } from './dropout.ts';
import { linear as linearOp, linearLayer } from './linear.ts';

export type LoraOptions = {
  /** Rank r of what is added; default 8. */
  rank?: number;
  /** The added product is scaled by alpha/rank; default `rank`. */
  alpha?: number;
  /** Probability of dropping each input of what is added, in training; default 0. */
  dropout?: number;
  /** What it is added to; default `linearLayer()`. */
  linear?: LinearFactory;
  /** Which maps, by the axes of their weights; default `['qkv dim']`: queries, keys and values. Others: `dim heads`, `hidden dim`, `dim hidden`. */
  targets?: readonly string[];
};

/**
 * lora — linear maps with a trained low-rank addition, as a value for models: `bert({ linear: lora({ rank: 8 }), … })`.
 *
 *     y = x Wᵀ + bias + (alpha / rank) · drop(x) Aᵀ Bᵀ
 *
 * W stays as it is if it is not trained: `splitParams(params, isAdapter)`. A map whose output consists of parts (q, k and v) has A and B for each of
 * them, as if it were several maps: `loraA: (parts · rank) in`, `loraB: out rank`. A starts uniform in ±1/√in and B at 0, so that y starts unchanged.
 *
 * @throws ConfigError  if an option is out of range.
 *
 * Source: Hu et al. 2021, arXiv:2106.09685, §4.1; A starts as in Hugging Face's PEFT.
 */
export function lora({ rank = 8, alpha = rank, dropout: rate = 0, linear = linearLayer(), targets = ['qkv dim'] }: LoraOptions = {}): LinearFactory {
  checkInteger('lora', 'rank', rank);
  checkPositive('lora', 'alpha', alpha);
  checkProbability('lora', 'dropout', rate);
  checkFunction('lora', 'linear', linear, 'linearLayer()');
  return (inDim: number, outDim: number, place: LayerPlace = {}): LinearLayer => {
    const base = linear(inDim, outDim, place);
    const { outAxis = 'out', inAxis = 'in', parts = [outDim], block } = place;
    if (!targets.includes(`${outAxis} ${inAxis}`)) return base;
    const { applyWith: _, ...rest } = base;
    const of = block === undefined ? {} : { block };
    const added: Readonly<Record<string, ParamSpec>> = {
      loraA: { shape: [parts.length * rank, inDim], axes: `rank ${inAxis}`, parts: parts.map(() => rank), role: 'hidden', fanIn: inDim, ...of },
      loraB: { shape: [outDim, rank], axes: `${outAxis} rank`, parts, role: 'hidden', fanIn: rank, ...of },
    };
    return {
      ...rest,
      specs: { ...(base.specs as object), ...added },
      initialiserOf: (spec, path) => {
        if (path === 'loraB') return zeros;
        const bound = 1 / Math.sqrt(inDim);
        return path === 'loraA' ? ({ shape }, seed) => randomUniform(shape, { seed, min: -bound, max: bound }) : base.initialiserOf(spec, path);
      },
      apply: (x, params, call = {}) => tidy('lora', () => {
        const { loraA, loraB } = params as { loraA: Tensor; loraB: Tensor };
        const { train = false, seed } = call;
        const kept = dropoutOp(x, { rate, train, ...(seed !== undefined && { seed: foldSeed(seed, 'lora') }) });
        const low = split(linearOp(kept, { weight: loraA }), parts.length, -1); // ... r, one per part
        const high = split(loraB, [...parts], 0).map((weight, i) => linearOp(low[i] as Tensor, { weight }, { scale: alpha / rank }));
        return add(base.apply(x, params, call), concat(high, -1));
      }),
    };
  };
}

/** isAdapter — whether a parameter is one that `lora` adds. */
export const isAdapter = (path: string): boolean => /(^|\.)lora[AB]$/.test(path);

/**
 * foldLora — the parameters of the same model without `lora`: W + (alpha/rank) · B A in place of W.
 *
 * @param specs    of the model with `lora`.
 * @param options  `alpha` as given to `lora` (default its rank).
 * @returns        fresh variables by path, the caller's: for `treeFromEntries(plain.specs, Object.entries(folded))`.
 */
export function foldLora(specs: Tree<ParamSpec>, params: Params, { alpha }: Pick<LoraOptions, 'alpha'> = {}): Record<string, Tensor> {
  const [byPath, specOf] = [new Map(treeEntries<Tensor>(params)), new Map(treeEntries<ParamSpec>(specs))];
  if (![...byPath.keys()].some(isAdapter)) throw new ConfigError('foldLora: params must have adapters, got none');
  const folded = [...byPath].filter(([path]) => !isAdapter(path)).map(([path, value]) => [path, param(() => {
    const node = path.replace(/\.?weight$/, '');
    const at = (name: string): string => (node === '' ? name : `${node}.${name}`);
    const [a, b] = [byPath.get(at('loraA')), byPath.get(at('loraB'))];
    if (a === undefined || b === undefined || !/(^|\.)weight$/.test(path)) return add(value, 0);
    const parts = (specOf.get(at('loraB')) as ParamSpec).parts as readonly number[];
    const rank = b.shape[1] as number;
    const as = split(a, parts.length, 0);
    const product = concat(split(b, [...parts], 0).map((part, i) => matMul(part as Tensor2D, as[i] as Tensor2D)), 0); // o i
    return add(value, mul(product, (alpha ?? rank) / rank));
  })] as const);
  return Object.fromEntries(folded);
}

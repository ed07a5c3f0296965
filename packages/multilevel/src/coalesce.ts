import { param, treeMap, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { add, clone, mul, type Tensor } from '@tensorflow/tfjs-core';
import type { AxisMap } from './axisMaps.ts';
import { overSizes, sumGroups } from './axisOps.ts';
import { mapSettings, type MapOptions } from './options.ts';
import { checkParams, planMaps, type ParamMap } from './planMaps.ts';

/**
 * coalesce — a small model out of a large one: merged units of width, then merged blocks.
 *
 *     W' = F_out W T_in        b' = F_out b        θ'_t = mean of θ_l over the blocks l of group t
 *
 * F averages the units of a group (what a parameter puts out), T adds them up (what it sums over); F T = I.
 *
 * @param params      the large model's parameters.
 * @param specs       its specs: names of the axes, `role`, `block`, `parts` and `headDim` decide what is merged how.
 * @param smallSpecs  the specs of the small model, which have the same parameters with smaller `dim`, `hidden`, `qkv` and `heads`, and fewer blocks.
 * @param options     see MapOptions; what made a small model must be given again to `decoalesce`.
 * @returns           variables in the shape of `smallSpecs`, the caller's to free.
 * @throws ConfigError  naming the first parameter whose specs do not fit, or if a tied head has no factor of the logits.
 * @throws ShapeError   if a parameter does not have the shape of its spec.
 *
 * Source: Zou et al. 2024, arXiv:2404.07999, §3.2, for weights stored as `out in`.
 */
export function coalesce(params: Tree<Tensor>, specs: Tree<ParamSpec>, smallSpecs: Tree<ParamSpec>, options: MapOptions = {}): Params {
  const plan = planMaps('coalesce', { small: smallSpecs, large: specs }, mapSettings('coalesce', options));
  const tensors = checkParams('coalesce', 'params', params, specs);
  const narrowed = (path: string): Tensor => {
    const { axes, growth } = plan.toSmall.get(path) as ParamMap;
    const merged = axes.reduce(mergeAxis, tensors.get(path) as Tensor);
    return growth === 1 ? merged : mul(merged, 1 / growth);
  };
  return treeMap((_, path) => param(() => mean((plan.toLarge.get(path) as readonly string[]).map(narrowed))), smallSpecs);
}

function mergeAxis(x: Tensor, { axis, side, of }: AxisMap): Tensor {
  const sum = sumGroups(x, axis, of);
  return side === 'output' ? overSizes(sum, axis, of) : sum;
}

function mean(each: readonly Tensor[]): Tensor {
  return each.length === 1 ? clone(each[0] as Tensor) : mul(each.reduce((sum, x) => add(sum, x)), 1 / each.length);
}

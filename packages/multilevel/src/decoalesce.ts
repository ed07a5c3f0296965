import { param, treeMap, type Params, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { clone, mul, type Tensor } from '@tensorflow/tfjs-core';
import type { AxisMap } from './axisMaps.ts';
import { copyToGroups, overSizesOfMembers } from './axisOps.ts';
import { mapSettings, type MapOptions } from './options.ts';
import { checkParams, planMaps, type ParamMap } from './planMaps.ts';

/**
 * decoalesce — a large model out of a small one: every unit and block copied to all of its group.
 *
 *     W = T_out W' F_in        b = T_out b'        θ_l = θ'_group(l)
 *
 * In width the large model computes what the small one does, up to rounding: units are copied, and what sums over them is divided by
 * their number. In depth it does not, since blocks then act several times. `coalesce` of the result is the small model again, bit for bit
 * where groups have 2, 4, 8, … members.
 *
 * Copies receive equal gradients for ever; `interpolate` with the parameters before `coalesce` ends that.
 *
 * @param small       the small model's parameters.
 * @param smallSpecs  its specs.
 * @param largeSpecs  the specs of the large model.
 * @param options     as given to `coalesce`.
 * @returns           variables in the shape of `largeSpecs`, the caller's to free.
 * @throws ConfigError  naming the first parameter whose specs do not fit, or if a tied head has no factor of the logits.
 * @throws ShapeError   if a parameter does not have the shape of its spec.
 *
 * Source: Zou et al. 2024, arXiv:2404.07999, §3.2. Departs from the authors' program: it doubles a tied embedding when coalescing, which is exact only
 * where a norm follows the embedding at once; here the models' logits have a factor.
 */
export function decoalesce(small: Tree<Tensor>, smallSpecs: Tree<ParamSpec>, largeSpecs: Tree<ParamSpec>, options: MapOptions = {}): Params {
  const { toSmall } = planMaps('decoalesce', { small: smallSpecs, large: largeSpecs }, mapSettings('decoalesce', options));
  const tensors = checkParams('decoalesce', 'small', small, smallSpecs);
  return treeMap((_, path) => param(() => {
    const { path: source, axes, growth } = toSmall.get(path) as ParamMap;
    const copied = axes.reduce(copyAxis, clone(tensors.get(source) as Tensor));
    return growth === 1 ? copied : mul(copied, growth);
  }), largeSpecs);
}

function copyAxis(x: Tensor, { axis, side, of }: AxisMap): Tensor {
  const copies = copyToGroups(x, axis, of);
  return side === 'input' ? overSizesOfMembers(copies, axis, of) : copies;
}

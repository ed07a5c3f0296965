import { checkShape, ConfigError, ShapeError, treeEntries, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';
import { axisMapsOf, type AxisMap } from './axisMaps.ts';
import { depthsOf, pathIn, placesOf, type Place } from './blockPaths.ts';
import { grouping, membersOf, type Grouping } from './grouping.ts';
import type { MapSettings } from './options.ts';
import { spectralGrowth } from './spectralGrowth.ts';

/** ParamMap — where a parameter of the large model is in the small one, how its axes are grouped, and by what it grows besides: 1 but for spectral norms. */
export type ParamMap = { readonly path: string; readonly axes: readonly AxisMap[]; readonly growth: number };

/** MapPlan — the map of each parameter of the large model; for each of the small one, of which it is the mean. */
export type MapPlan = { readonly toSmall: ReadonlyMap<string, ParamMap>; readonly toLarge: ReadonlyMap<string, readonly string[]> };

/**
 * planMaps — checks that two models belong together, parameter by parameter, and says how.
 *
 * @throws ConfigError  naming the first parameter that does not fit.
 */
export function planMaps(fn: string, specs: { readonly small: Tree<ParamSpec>; readonly large: Tree<ParamSpec> }, { width, depth, logitScale }: MapSettings): MapPlan {
  const [small, large] = [placesOf(fn, specs.small), placesOf(fn, specs.large)];
  const blocks = blockGroupings(fn, depthsOf(small), depthsOf(large), depth);
  const inSmall = new Map(small.map((place) => [place.path, place]));
  const placed = new Map(large.map((place) => {
    const path = smallPathOf(place, blocks);
    const counterpart = inSmall.get(path);
    if (counterpart === undefined) throw new ConfigError(`${fn}: the small model must have ${path}, the counterpart of ${place.path}, got specs without it`);
    return [place.path, { path, axes: axisMapsOf({ fn, path: place.path, small: counterpart.spec, large: place.spec, kind: width }) }];
  }));
  const toSmall = new Map(large.map(({ path, spec: { normOf } }) => {
    const { axes = [] } = (normOf === undefined ? undefined : placed.get(path.replace(/[^.]*$/, normOf))) ?? {};
    return [path, { ...placed.get(path)!, growth: spectralGrowth(axes, fn, path) }];
  }));
  checkOneWidth(fn, large, toSmall);
  const toLarge = new Map(small.map((place) => [place.path, largePathsOf(place, blocks)]));
  for (const [path, sources] of toLarge) {
    const missing = sources.find((source) => !toSmall.has(source));
    if (missing !== undefined) throw new ConfigError(`${fn}: the large model must have ${missing}, a counterpart of ${path}, got specs without it`);
  }
  checkLogits(fn, large, toSmall, logitScale);
  return { toSmall, toLarge };
}

/** The grouping of the blocks of each stack. */
function blockGroupings(fn: string, small: ReadonlyMap<string, number>, large: ReadonlyMap<string, number>, kind: MapSettings['depth']): Map<string, Grouping> {
  return new Map([...large].map(([stack, many]) => {
    const few = small.get(stack) ?? 0;
    if (few < 1 || few > many) throw new ConfigError(`${fn}: ${stack} must have from 1 to ${many} blocks in the small model, got ${few}`);
    return [stack, grouping(many, few, kind)];
  }));
}

function smallPathOf(place: Place, blocks: ReadonlyMap<string, Grouping>): string {
  if (place.stack === undefined) return place.path;
  return pathIn((blocks.get(place.stack) as Grouping).groupOf[place.block as number] as number, place);
}

function largePathsOf(place: Place, blocks: ReadonlyMap<string, Grouping>): string[] {
  const of = place.stack === undefined ? undefined : blocks.get(place.stack);
  if (of === undefined) return [place.path];
  return (membersOf(of)[place.block as number] as number[]).map((block) => pathIn(block, place));
}

/** The residual stream has one width: who differs from the first would be added to channels of other groups. */
function checkOneWidth(fn: string, large: readonly Place[], toSmall: MapPlan['toSmall']): void {
  const widths = large.flatMap(({ path, spec }) => spec.axes.split(' ').flatMap((name, axis) => {
    const many = spec.shape[axis];
    const few = toSmall.get(path)?.axes.find((map) => map.axis === axis)?.of.size ?? many;
    return name === 'dim' ? [{ path, sizes: `${few} in the small model and ${many} in the large one` }] : [];
  }));
  const other = widths.find(({ sizes }) => sizes !== widths[0]?.sizes);
  if (other !== undefined) throw new ConfigError(`${fn}: ${other.path} must have dim ${widths[0]?.sizes}, as ${widths[0]?.path} has, got ${other.sizes}`);
}

/** A token embedding that is the head as well is unscaled in one place and summed over copies in the other: only a factor of the logits can mend that. */
function checkLogits(fn: string, large: readonly Place[], toSmall: MapPlan['toSmall'], scale: MapSettings['logitScale']): void {
  const embedding = large.some(({ spec }) => spec.role === 'head') ? undefined : large.find(({ spec }) => spec.role === 'embedding' && spec.axes === 'vocab dim');
  const map = embedding && toSmall.get(embedding.path)?.axes.find(({ side }) => side === 'output');
  const ratio = map === undefined ? 1 : map.of.groupOf.length / map.of.size;
  if (Math.abs(scale.small / (scale.large * ratio) - 1) < 1e-6) return;
  const why = map === undefined ? 'the same as logitScale.large' : `${ratio} · logitScale.large, since ${embedding?.path} is the head too (no parameter has role head)`;
  throw new ConfigError(`${fn}: logitScale.small must be ${why}, got ${scale.small} and ${scale.large}. ${map === undefined ? 'Give both models one factor.' : 'Give the models such factors of their logits, or heads of their own.'}`);
}

/**
 * checkParams — throws unless a model's parameters are those of its specs.
 *
 * @throws ConfigError  if one is missing or has no spec.
 * @throws ShapeError   if one has another shape.
 */
export function checkParams(fn: string, arg: string, params: Tree<Tensor>, specs: Tree<ParamSpec>): Map<string, Tensor> {
  const found = new Map(treeEntries<Tensor>(params));
  const expected = new Map(treeEntries<ParamSpec>(specs));
  for (const [path, { shape }] of expected) {
    const tensor = found.get(path);
    if (tensor === undefined) throw new ConfigError(`${fn}: ${arg} must have ${path}, got ${found.size} others`);
    checkShape(fn, `${arg}.${path}`, tensor, shape);
    if (tensor.dtype !== 'float32') throw new ShapeError(`${fn}: ${arg}.${path} must have dtype float32, got ${tensor.dtype}`);
  }
  const extra = [...found.keys()].find((path) => !expected.has(path));
  if (extra !== undefined) throw new ConfigError(`${fn}: ${arg} must have the parameters of its specs only, got ${extra} besides`);
  return found;
}

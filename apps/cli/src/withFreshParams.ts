import { dispose, type Variable } from '@tensorflow/tfjs-core';
import { initParams, treeEntries, treeFromEntries, type Params, type ParamSpec, type Seed } from '@evenkeel/core-tensor';
import type { LayeredModel } from '@evenkeel/layers';

/**
 * withFreshParams — the parameters of a model out of those of another one that is mostly the same: what `isKept` refuses, and what is not there
 * in the same shape, starts anew; what is not used is freed.
 */
export function withFreshParams<P extends Params>(found: Params, model: LayeredModel, { seed, isKept = () => true }: { seed: Seed; isKept?: (path: string) => boolean }): P {
  const [had, specs] = [new Map(treeEntries<Variable>(found)), treeEntries<ParamSpec>(model.specs)];
  const stays = ([path, { shape }]: [string, ParamSpec]): boolean => isKept(path) && String(had.get(path)?.shape) === String(shape);
  const fresh = initParams(Object.fromEntries(specs.filter((entry) => !stays(entry))), seed, model.initialiserOf) as Record<string, Variable>;
  const used = new Set(specs.filter(stays).map(([path]) => path));
  dispose([...had].flatMap(([path, variable]) => (used.has(path) ? [] : [variable])));
  return treeFromEntries(model.specs, specs.map(([path]) => [path, fresh[path] ?? had.get(path)] as [string, Variable])) as P;
}

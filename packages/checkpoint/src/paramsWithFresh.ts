import { dispose, type Variable } from '@tensorflow/tfjs-core';
import { initParams, treeEntries, treeFromEntries, type Layer, type Params, type ParamSpec, type Seed } from '@evenkeel/core-tensor';
import { paramsFromFile, type NamedWeight, type ParamsFromFileOptions } from './namedWeights.ts';
import type { SafetensorsFile } from './openSafetensors.ts';

/** ParamsWithFreshOptions — `isFresh`: which parameters start anew; from which seed. */
export type ParamsWithFreshOptions = ParamsFromFileOptions & { isFresh: (path: string) => boolean; seed: Seed };

/**
 * paramsWithFresh — `paramsFromFile` for a model of which a file holds a part: a new head or adapters start anew, and are not looked for.
 *
 * @returns  variables in the shape of `specs`, the caller's.
 * @throws ConfigError, ShapeError  as `paramsFromFile`.
 */
export async function paramsWithFresh<P = unknown>(
  { specs, initialiserOf }: Pick<Layer, 'specs' | 'initialiserOf'>, weights: readonly NamedWeight[], file: SafetensorsFile,
  { isFresh, seed, ...options }: ParamsWithFreshOptions,
): Promise<Params & P> {
  const all = treeEntries<ParamSpec>(specs);
  const loaded = await paramsFromFile<Record<string, Variable>>(Object.fromEntries(all.filter(([path]) => !isFresh(path))), weights.filter(({ path }) => !isFresh(path)), file, options);
  try {
    const started = initParams(Object.fromEntries(all.filter(([path]) => isFresh(path))), seed, initialiserOf) as Record<string, Variable>;
    return treeFromEntries(specs, Object.entries({ ...loaded, ...started })) as Params & P;
  } catch (error) {
    dispose(loaded as never);
    throw error;
  }
}

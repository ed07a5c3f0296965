import { dispose, type TensorContainer } from '@tensorflow/tfjs-core';
import { treeEntries, type Tree } from '@evenkeel/core-tensor';
import { memoryStore, readMetrics, train, type Metrics, type RunStore, type TrainOptions, type TrainResult } from '@evenkeel/training';
import { makeParams, tinyRun, type TinyBatch, type TinyParams } from './fixtures/tinyRun.ts';

/** Metrics without what may differ from run to run: the timings. */
export function reproducible(metrics: readonly Metrics[]): object[] {
  return metrics.map((each) => {
    const copy: Record<string, unknown> = { ...each };
    delete copy.msPerStep;
    delete copy.tokensPerSecond;
    return copy;
  });
}

export const metricsOf = async (store: RunStore): Promise<object[]> => reproducible(await readMetrics(store));

export async function valuesOf(tree: Tree<unknown>): Promise<Record<string, number[]>> {
  const entries = treeEntries<{ data(): Promise<ArrayLike<number>> }>(tree as Tree<{ data(): Promise<ArrayLike<number>> }>);
  return Object.fromEntries(await Promise.all(entries.map(async ([path, leaf]) => [path, Array.from(await leaf.data())] as const)));
}

export const free = (...things: unknown[]): void => dispose(things as TensorContainer);

export type Outcome = { result: TrainResult; metrics: object[]; values: Record<string, number[]>; store: RunStore };

/** Trains a fresh tiny model and frees it again. */
export async function runTiny(overrides: Partial<TrainOptions<TinyParams, TinyBatch>> = {}, seed = 1): Promise<Outcome> {
  const params = makeParams(seed);
  const store = overrides.store ?? memoryStore();
  try {
    const result = await train(tinyRun(params, { ...overrides, store }));
    return { result, metrics: await metricsOf(store), values: await valuesOf(params), store };
  } finally {
    free(params);
  }
}

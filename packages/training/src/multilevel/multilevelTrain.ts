import { dispose, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { foldSeed, type Tree } from '@evenkeel/core-tensor';
import { coalesce, decoalesce, interpolate } from '@evenkeel/multilevel';
import { train, type TrainResult } from '../train.ts';
import type { TrainCallbacks } from '../trainOptions.ts';
import { checkOptions, mapOptionsOf, type Level, type MultilevelCallbacks, type MultilevelOptions } from './multilevelOptions.ts';
import { multilevelPlan, type Stage } from './multilevelPlan.ts';
import { claimPlan } from './planFile.ts';
import { stageStore } from './stageStore.ts';

/** StageResult — what a stage was and what came of it. */
export type StageResult = Stage & { readonly result: TrainResult };

export type MultilevelResult<P> = {
  /** The parameters of the large model, the caller's to free. After an interruption below the first level: as they were before `coalesce`. */
  readonly params: P;
  /** The stages so far; of the last one, `result` is that of the cycle. */
  readonly stages: readonly StageResult[];
  /** Floating-point operations of the steps done: see `multilevelPlan`. */
  readonly flops: number;
  readonly interrupted: boolean;
};

/**
 * multilevelTrain — trains a large model mostly by training smaller ones: a cycle down through the levels and up again.
 *
 *     down    train level k for initSteps; level k + 1 = coalesce(level k)
 *     bottom  train the smallest
 *     up      level k = (1 − alpha) · level k as it was + alpha · decoalesce(level k + 1); train it
 *
 * Each stage is a run of `train` with a fresh optimizer, schedule and untrained state. A resumed cycle looks up the stages that are done and
 * computes the switches again, so it may be killed at any moment and gives the same numbers, bit for bit.
 *
 * @param options  see MultilevelOptions. One level is plain training, counted alike.
 * @throws ConfigError     if an option is out of range, a level does not fit the one above (the first parameter is named), or the store has
 *                         another cycle, or one that is not to be resumed.
 * @throws NonFiniteError  as `train` does. Everything is freed then; the store holds what was saved.
 *
 * Source: Zou et al. 2024, arXiv:2404.07999, algorithm 1. Departs from the authors' example script, which takes the parameters of a fully trained
 * large model for those before `coalesce`.
 */
export async function multilevelTrain<P extends Tree<Variable>, B>(options: MultilevelOptions<P, B>): Promise<MultilevelResult<P>> {
  const { stages } = multilevelPlan(options);
  checkOptions(options);
  const { store, resume = false, signal } = options;
  const release = await store?.lock?.();
  const held: P[] = []; // the parameters of each level that is begun and not yet brought back
  const done: StageResult[] = [];
  try {
    if (store !== undefined) await claimPlan(store, planOf(options, stages), resume);
    for (const stage of stages) {
      enter(options, stage, held);
      await options.callbacks?.onStage?.(stage);
      done.push({ ...stage, result: await runStage(options, stage, held[stage.level] as P) });
      if (signal?.aborted === true) break;
    }
    const [params] = held.splice(0, 1) as [P];
    const flops = done.reduce((sum, stage) => sum + (stage.flops / stage.steps) * stage.result.steps, 0);
    return { params, stages: done, flops, interrupted: done.length < stages.length || done.at(-1)?.result.interrupted === true };
  } finally {
    dispose(held as TensorContainer);
    await release?.();
  }
}

/** What makes one cycle differ from another. The last stage may be prolonged, as a run of `train` may. */
function planOf<P extends Tree<Variable>, B>({ alpha = 0.5, seed, widthGrouping = 'stacked', depthGrouping = 'adjacent', config = {} }: MultilevelOptions<P, B>, stages: readonly Stage[]) {
  const ofStage = ({ index, level, phase, parameters, steps }: Stage) => ({ level, phase, parameters, ...(index < stages.length - 1 && { steps }) });
  return { version: 1, seed, alpha, widthGrouping, depthGrouping, stages: stages.map(ofStage), config };
}

/** Makes the parameters that a stage begins with. */
function enter<P extends Tree<Variable>, B>(options: MultilevelOptions<P, B>, { level, phase }: Stage, held: P[]): void {
  const { levels, alpha = 0.5, seed } = options;
  const specs = (of: number) => (levels[of] as Level<P, B>).specs;
  if (phase === 'up') {
    const [saved, small] = held.splice(level, 2) as [P, P];
    const grown = decoalesce(small, specs(level + 1), specs(level), mapOptionsOf(options, level));
    held[level] = interpolate(saved, grown, alpha) as P;
    dispose([saved, small, grown] as TensorContainer);
  } else {
    held[level] = level === 0 ? (levels[0] as Level<P, B>).init({ seed }) : coalesce(held[level - 1] as P, specs(level - 1), specs(level), mapOptionsOf(options, level - 1)) as P;
  }
}

async function runStage<P extends Tree<Variable>, B>(options: MultilevelOptions<P, B>, stage: Stage, params: P): Promise<TrainResult> {
  const { levels, optimizerFor, batches, stageOptions, seed, store, resume, config = {}, signal, callbacks = {}, tokensPerStep } = options;
  const model = levels[stage.level] as Level<P, B>;
  const values = model.state?.init(params);
  try {
    return await train<P, B>({
      tokensPerStep, ...stageOptions?.(stage, params), ...(signal && { signal }), ...(resume && { resume }),
      ...(store && { store: stageStore(store, stage) }), ...(model.state && values && { modelState: { values, update: model.state.update } }),
      params, loss: (p, batch, context) => model.loss(batch, p, context), batches: (step) => batches(stage.firstStep + step, stage),
      optimizer: optimizerFor(stage), steps: stage.steps, seed: foldSeed(seed, 'stage', stage.index),
      config: { ...config, stage: { index: stage.index, level: stage.level, phase: stage.phase } }, callbacks: callbacksOf(callbacks, stage),
    });
  } finally {
    if (values !== undefined) dispose(values as TensorContainer);
  }
}

function callbacksOf({ onStage: _, ...callbacks }: MultilevelCallbacks, stage: Stage): TrainCallbacks {
  type Callback = (event: never, of: Stage) => void | Promise<void>;
  return Object.fromEntries(Object.entries(callbacks).map(([name, callback]) => [name, (event: never) => (callback as Callback)(event, stage)]));
}

import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { checkInteger, checkRange, ConfigError, type GradientTransform, type LayerState, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { checkMaps, type MapOptions } from '@evenkeel/multilevel';
import type { RunConfig } from '../configDifferences.ts';
import type { RunStore } from '../runStore.ts';
import type { StepContext } from '../stepGradient.ts';
import type { TrainCallbacks, TrainOptions } from '../trainOptions.ts';
import type { PlanOptions, Stage } from './multilevelPlan.ts';

/** Level — a model as `gpt()` makes one: its specs, its first values, its loss, and the untrained values of its layers if it has any. */
export type Level<P extends Tree<Variable>, B> = {
  readonly specs: Tree<ParamSpec>;
  init(options: { seed: number }): P;
  loss(batch: B, params: P, context: StepContext): Tensor;
  readonly state?: LayerState;
  /** `logitScale`: the constant factor of its logits, which tied embeddings need; see @evenkeel/multilevel. */
  readonly config?: { readonly logitScale?: number };
};

/** MultilevelCallbacks — those of `train`, each with the stage that it is about. */
export type MultilevelCallbacks = {
  readonly [Name in keyof TrainCallbacks]?: (...args: [...Parameters<NonNullable<TrainCallbacks[Name]>>, stage: Stage]) => void | Promise<void>;
} & {
  /** A stage begins, or is looked up because it was done before. */
  readonly onStage?: (stage: Stage) => void | Promise<void>;
};

/** StageOptions — what of `train`'s options a stage may have to itself. */
export type StageOptions<P extends Tree<Variable>, B> = Partial<Pick<
  TrainOptions<P, B>, 'evaluate' | 'evalEvery' | 'checkpointEvery' | 'keepCheckpoints' | 'learningRate' | 'monitor' | 'gradient' | 'microBatches' | 'lossScale' | 'capture'>>;

export type MultilevelOptions<P extends Tree<Variable>, B> = Omit<PlanOptions, 'levels'> & Omit<MapOptions, 'logitScale'> & {
  /** The models, from large to small. */
  readonly levels: readonly Level<P, B>[];
  /** How much of the small model comes back, from 0 (nothing) to 1 (no trace of what was before); one number for all levels. Default 0.5. */
  readonly alpha?: number;
  /** A fresh optimizer, with a schedule over `stage.steps` of its own: neither goes on from one stage to the next. */
  readonly optimizerFor: (stage: Stage) => GradientTransform;
  /** The batch of a step, counted from 0 over all stages: a function of its arguments alone. Tensors in it are freed after the step. */
  readonly batches: (step: number, stage: Stage) => B | Promise<B>;
  /** More options for `train`, such as `{ evaluate, learningRate }`; `params` are those of the stage. */
  readonly stageOptions?: (stage: Stage, params: P) => StageOptions<P, B>;
  readonly seed: number;
  /** Where the stages keep their files, each in a folder of its own (`stageStore`). */
  readonly store?: RunStore;
  /** Go on where the cycle in `store` was ended, or start anew if it has none. */
  readonly resume?: boolean;
  /** What decides the numbers besides these options; a cycle can only be resumed with the same. */
  readonly config?: RunConfig;
  readonly signal?: AbortSignal;
  readonly callbacks?: MultilevelCallbacks;
};

/** mapOptionsOf — the options of the maps between a level and the next. */
export function mapOptionsOf<P extends Tree<Variable>, B>({ levels, widthGrouping, depthGrouping }: MultilevelOptions<P, B>, level: number): MapOptions {
  const [large, small] = [level, level + 1].map((each) => levels[each]?.config?.logitScale ?? 1) as [number, number];
  return { ...(widthGrouping && { widthGrouping }), ...(depthGrouping && { depthGrouping }), logitScale: { large, small } };
}

/** checkOptions — that each level fits the one above, before anything is trained. */
export function checkOptions<P extends Tree<Variable>, B>(options: MultilevelOptions<P, B>): void {
  const { levels, alpha = 0.5, seed } = options;
  checkRange('multilevelTrain', 'alpha', alpha, 0, 1);
  checkInteger('multilevelTrain', 'seed', seed, 0);
  levels.slice(1).forEach(({ specs }, above) => {
    try {
      checkMaps((levels[above] as Level<P, B>).specs, specs, mapOptionsOf(options, above));
    } catch (error) {
      throw new ConfigError(`multilevelTrain: levels[${above + 1}] must fit levels[${above}]: ${(error as Error).message}`, { cause: error });
    }
  });
}

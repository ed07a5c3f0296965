import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { checkFunction, checkInteger, checkNames, checkOneOf, type GradientMethod, type GradientTransform, type Monitor, type Schedule, type TunedClass, type Tree } from '@evenkeel/core-tensor';
import { lossScaling, type LossScaler } from '@evenkeel/optimizers';
import { jsonCopy, type RunConfig } from './configDifferences.ts';
import type { EvalMetrics, MonitorMetrics, StepMetrics } from './metrics.ts';
import type { Resumed } from './resume.ts';
import type { ModelState, StepContext } from './stepGradient.ts';
import type { RunStore } from './runStore.ts';

/** TrainCallbacks — called and awaited as things happen; an error thrown by one ends the run. */
export type TrainCallbacks = {
  onResume?: (resumed: Resumed) => void | Promise<void>;
  onStep?: (metrics: StepMetrics) => void | Promise<void>;
  /** A monitor's reading, with what it found. */
  onReading?: (metrics: MonitorMetrics) => void | Promise<void>;
  onEval?: (metrics: EvalMetrics) => void | Promise<void>;
  /** A device that tunes itself, such as WebGPU on hardware, has timed its kernels for one class of calls; `left` classes are still to come. */
  onTuned?: (tuned: TunedClass, left: number) => void;
  onCheckpoint?: (checkpoint: { readonly step: number; readonly path: string }) => void | Promise<void>;
};

/** Evaluation — a validation loss, and what else was measured, by name: `{ accuracy: 0.81 }`. */
export type Evaluation = { readonly loss: number; readonly values?: Readonly<Record<string, number>> };

export type TrainOptions<P extends Tree<Variable>, B> = {
  /** Trained in place. They stay the caller's. */
  params: P;
  /** The loss of a batch: one float32 number. All its randomness must come from `context.seed`. */
  loss: (params: P, batch: B, context: StepContext) => Tensor;
  /** The batch of a step, counted from 0: a function of the step alone. Tensors in it are freed after the step. */
  batches: (step: number) => B | Promise<B>;
  optimizer: GradientTransform;
  /** How the gradient is got from the loss: `sam({ rho })` of @evenkeel/optimizers. Default `valueAndGrad`. */
  gradient?: GradientMethod;
  /**
   * Into how many parts each batch is cut, along axis 0 of all its tensors, which must be of one size there. The step's loss and gradient are
   * the means over the parts, and only the activations of one part are alive at a time. That is the gradient of the whole batch if `loss` is a
   * mean over rows that count alike; where targets are ignored, each part counts the same however many of its targets do. Each part has a
   * seed of its own, `gradient` sees one part at a time, and a monitor observes the first part. Default 1.
   */
  microBatches?: number;
  /**
   * Untrained values of the model, saved with the parameters and brought up to date after each step:
   * `{ values: model.state.init(params), update: model.state.update }`. They stay the caller's; `loss` gets them as `context.state`.
   */
  modelState?: ModelState;
  /** Watches steps from within: `monitor()` of @evenkeel/diagnostics. `loss` must hand `context` on to the model. */
  monitor?: Monitor;
  steps: number;
  seed: number;
  /** The validation loss at the present parameters, alone or with other measures; must not depend on when it is called. */
  evaluate?: () => Promise<number | Evaluation>;
  /** Steps from one evaluation to the next; one more follows the last step. Default: a tenth of `steps`. */
  evalEvery?: number;
  /** Where metrics and checkpoints are kept; without it nothing is written. */
  store?: RunStore;
  /** Steps from one checkpoint to the next; one more follows the last step. Default: a tenth of `steps`. */
  checkpointEvery?: number;
  keepCheckpoints?: number;
  /** Go on from the newest checkpoint of `store`, or start anew if it has none. */
  resume?: boolean;
  /** What decides the numbers of this run; a run can only be resumed with the same. */
  config?: RunConfig;
  /** What the metrics report as learning rate; the optimizer has its own. */
  learningRate?: number | Schedule;
  /** For `tokensPerSecond` in the metrics. */
  tokensPerStep?: number | Schedule;
  /**
   * `dynamic`: the loss is multiplied by a factor that adapts, so that small gradients do not become 0 where the device rounds to f16; a
   * step that overflows is done again at half of it. See `lossScaling` of @evenkeel/optimizers. Default: none.
   */
  lossScale?: 'dynamic';
  /**
   * On a device that can do so, steps are recorded and then replayed without the JavaScript of `loss` and `optimizer` (default true; see
   * `captureStep` of core-tensor). `loss` must then be a function of its arguments alone: a variable of JavaScript that it reads counts with the
   * value that it had when the step was recorded, until a check after 2, 4, 8, … 64 steps finds the difference and throws.
   */
  capture?: boolean;
  /** Ends the run after the step in progress, with a checkpoint. */
  signal?: AbortSignal;
  callbacks?: TrainCallbacks;
};

/** Settings — the options with their defaults filled in. */
export type Settings<P extends Tree<Variable>, B> = TrainOptions<P, B> & Required<Pick<TrainOptions<P, B>, 'evalEvery' | 'checkpointEvery' | 'keepCheckpoints' | 'config' | 'callbacks'>> & { readonly scaler?: LossScaler };

const NAMES = [
  'params', 'loss', 'batches', 'optimizer', 'gradient', 'microBatches', 'modelState', 'monitor', 'steps', 'seed', 'evaluate', 'evalEvery', 'store', 'checkpointEvery',
  'keepCheckpoints', 'resume', 'config', 'learningRate', 'tokensPerStep', 'lossScale', 'capture', 'signal', 'callbacks',
] as const satisfies readonly (keyof TrainOptions<Tree<Variable>, unknown>)[];

/** withDefaults — checks the options and fills in what was left out. */
export function withDefaults<P extends Tree<Variable>, B>(options: TrainOptions<P, B>): Settings<P, B> {
  checkNames('train', options, NAMES);
  checkInteger('train', 'steps', options.steps);
  checkInteger('train', 'seed', options.seed, 0);
  const tenth = Math.max(1, Math.floor(options.steps / 10));
  const { evalEvery = tenth, checkpointEvery = tenth, keepCheckpoints = 2, config = {}, callbacks = {} } = options;
  checkInteger('train', 'evalEvery', evalEvery);
  checkInteger('train', 'checkpointEvery', checkpointEvery);
  checkInteger('train', 'keepCheckpoints', keepCheckpoints);
  if (options.gradient !== undefined) checkFunction('train', 'gradient', options.gradient, 'valueAndGrad or sam({ rho: 0.05 })');
  checkInteger('train', 'microBatches', options.microBatches ?? 1);
  if (options.monitor !== undefined) checkInteger('train', 'monitor.every', options.monitor.every);
  if (options.lossScale !== undefined) checkOneOf('train', 'lossScale', options.lossScale, ['dynamic']);
  const scaler = options.lossScale === undefined ? undefined : lossScaling(options.optimizer);
  return { ...options, ...(scaler && { optimizer: scaler as unknown as GradientTransform, scaler }), evalEvery, checkpointEvery, keepCheckpoints, config: jsonCopy(config), callbacks };
}

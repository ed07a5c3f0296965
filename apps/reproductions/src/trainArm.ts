import { dispose, type Tensor, type TensorContainer } from '@tensorflow/tfjs-core';
import type { GradientTransform, Monitor, Params, Reading, Tree, ParamSpec } from '@evenkeel/core-tensor';
import type { Batch } from '@evenkeel/data';
import type { Gpt, GptParams } from '@evenkeel/models-gpt';
import { NonFiniteError, train } from '@evenkeel/training';
import type { TokenBatch } from './lab.ts';
import { tensorsOf } from './lab.ts';

export type ArmOptions = {
  readonly model: Gpt;
  readonly optimizer: (specs: Tree<ParamSpec>) => GradientTransform;
  readonly batches: (step: number) => TokenBatch;
  readonly steps: number;
  readonly seed: number;
  readonly monitor?: Monitor;
  /** For `valLoss`; without them it is NaN. */
  readonly valBatches?: readonly Batch[];
  /** Is called after each step, and before the first with 0. */
  readonly onStep?: (step: number, trained: Trained) => Promise<void>;
  /** Is called with the trained model before its values are freed. */
  readonly afterwards?: (trained: Trained) => Promise<void>;
};

/** Trained — a model and its values as they are now; borrowed. */
export type Trained = { readonly model: Gpt; readonly params: Params & GptParams; readonly state: Tree<Tensor> };

/** ArmResult — one training run. */
export type ArmResult = {
  /** Loss of each step before its update; shorter than the run if it diverged. */
  readonly losses: readonly number[];
  readonly gradNorms: readonly number[];
  /** Mean loss of the last ten steps; the first loss if it diverged. */
  readonly finalLoss: number;
  readonly valLoss: number;
  readonly readings: readonly Reading[];
  readonly diverged: boolean;
};

/** trainArm — trains a fresh model; a run that diverges is a result. */
export async function trainArm({ model, optimizer, batches, steps, seed, monitor, valBatches, onStep, afterwards }: ArmOptions): Promise<ArmResult> {
  const params = model.init({ seed });
  const state = model.state.init(params);
  const [losses, gradNorms, readings]: [number[], number[], Reading[]] = [[], [], []];
  let diverged = false;
  let valLoss = NaN;
  try {
    await onStep?.(0, { model, params, state });
    await train<Params & GptParams, TokenBatch>({
      params, modelState: { values: state, update: model.state.update }, batches, steps, seed, monitor,
      loss: (leaves, batch, context) => model.loss(batch, leaves, context),
      optimizer: optimizer(model.specs),
      callbacks: {
        onStep: async ({ step, loss, gradNorm }) => {
          losses.push(loss);
          gradNorms.push(gradNorm);
          await onStep?.(step, { model, params, state });
        },
        onReading: ({ step, values }) => { readings.push({ step, loss: losses.at(-1) as number, gradNorm: gradNorms.at(-1) as number, values }); },
      },
    });
    if (valBatches !== undefined) valLoss = await meanLoss(model, params, state, valBatches);
    await afterwards?.({ model, params, state });
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error;
    diverged = true;
  } finally {
    dispose([params, state] as TensorContainer);
  }
  const last = losses.slice(-10);
  const first = losses[0] ?? NaN;
  return { losses, gradNorms, readings, diverged, finalLoss: diverged ? first : last.reduce((sum, loss) => sum + loss, 0) / last.length, valLoss: diverged ? first : valLoss };
}

/** meanLoss — mean next-token loss over all targets of some batches. */
export async function meanLoss(model: Gpt, params: GptParams, state: Tree<Tensor>, batches: readonly Batch[]): Promise<number> {
  let [sum, count] = [0, 0];
  for (const batch of batches) {
    const tensors = tensorsOf(batch);
    const loss = model.loss(tensors, params, { state });
    sum += batch.targets.length * ((await loss.data())[0] as number);
    count += batch.targets.length;
    dispose([tensors, loss] as TensorContainer);
  }
  return sum / count;
}

import { dispose, type TensorContainer } from '@tensorflow/tfjs-core';
import type { GradientTransform, Params } from '@evenkeel/core-tensor';
import { gpt, type Gpt, type GptParams } from '@evenkeel/models-gpt';
import { adamw, linearDecay } from '@evenkeel/optimizers';
import { multilevelPlan, multilevelTrain, type Stage } from '@evenkeel/training';
import { textTask, type Lab, type TextTask, type TokenBatch } from '../lab.ts';
import { meanOf } from '../numbers.ts';
import type { Chart, Measurement, Numbers, Reproduction } from '../reproduction.ts';
import { meanLoss, trainArm } from '../trainArm.ts';

const CONTEXT = 64;
const BATCH = 16;
const RATE = 2e-3;
const SMALL_RATE = 2 * RATE;
const stepsOf = (quick: boolean) => (quick ? { baseline: 60, init: 5, small: 40, up: 38 } : { baseline: 600, init: 30, small: 500, up: 405 });
const n = (numbers: Numbers, name: string): number => numbers[name] as number;

/** multilevelTraining — arXiv:2404.07999. */
export const multilevelTraining: Reproduction = {
  slug: 'multi-level-training',
  paper: { title: 'A Multi-Level Framework for Accelerating Training Transformer Models', arxiv: '2404.07999' },
  claim: 'A cycle through a model of half the width and depth reaches the loss of plain training with at least 15 % fewer floating-point operations; interpolation with the weights from before is needed for it.',
  arms: { baseline: 'plain training', technique: 'V-cycle' },
  criterion: [
    { says: 'at least 15 % fewer operations (6 · parameters · tokens)', holds: ({ baseline, technique }) => n(technique, 'flops') <= 0.85 * n(baseline, 'flops') },
    { says: 'validation loss at most 0.02 nats above that of plain training', holds: ({ baseline, technique }) => n(technique, 'valLoss') <= n(baseline, 'valLoss') + 0.02 },
    { says: 'without interpolation (alpha = 1) it is higher than with it', holds: ({ technique }) => n(technique, 'withoutInterpolation') > n(technique, 'valLoss') },
  ],
  quickCriterion: [{ says: 'at least 15 % fewer operations, and it learns', holds: ({ baseline, technique }) => n(technique, 'flops') <= 0.85 * n(baseline, 'flops') && n(technique, 'valLoss') < 3.4 }],
  meanings: {
    valLoss: 'validation loss (nats)', flops: 'floating-point operations of training', withoutInterpolation: 'validation loss with alpha = 1 (nats)',
    sameFlops: 'validation loss of plain training cut short to the operations of the cycle, its own schedule (nats)',
  },
  notes: ['Taking the small model over whole (alpha = 1) is no worse than interpolating here: the steps that follow are enough to tell the copies apart. The small model alone comes near the loss of plain training for a fraction of the operations; much of the gain is its.'],
  measure,
};

/** A model of that depth and width, with a head of its own. */
const modelOf = (task: TextTask, depth: number, dim: number, numHeads: number): Gpt => gpt({ vocabSize: task.vocabSize, contextLength: CONTEXT, depth, dim, numHeads, tiedHead: false });

async function measure(lab: Lab, seed: number): Promise<Measurement> {
  const task = await textTask(lab);
  const { baseline: steps, init, small, up } = stepsOf(lab.quick);
  const large = modelOf(task, 4, 64, 4);
  const plan = multilevelPlan({ levels: [large, modelOf(task, 2, 32, 2)], initSteps: init, steps: [up, small], tokensPerStep: BATCH * CONTEXT });
  const plainFlops = multilevelPlan({ levels: [large], initSteps: [], steps: [steps], tokensPerStep: BATCH * CONTEXT }).flops;
  const plain = await plainRun(lab, task, seed, large, steps);
  const short = await plainRun(lab, task, seed, large, Math.floor((steps * plan.flops) / plainFlops));
  const cycle = await cycleRun(lab, task, seed, 0.5);
  const copied = await cycleRun(lab, task, seed, 1);
  return {
    baseline: { valLoss: plain.valLoss, flops: plainFlops, sameFlops: short.valLoss },
    technique: { valLoss: cycle.valLoss, flops: plan.flops, withoutInterpolation: copied.valLoss },
    charts: [costChart([['plain', plain], ['plain, cut short', short], ['cycle', cycle], ['cycle without interpolation', copied]])],
  };
}

/** Points are [operations so far, loss]. */
type Run = { readonly valLoss: number; readonly points: readonly (readonly [number, number])[] };

async function plainRun(lab: Lab, task: TextTask, seed: number, model: Gpt, steps: number): Promise<Run> {
  lab.say(`plain: ${steps} steps`);
  const { valLoss, losses } = await trainArm({
    model, steps, seed, batches: task.batches({ seed, batchSize: BATCH, contextLength: CONTEXT }), valBatches: valBatches(lab, task),
    optimizer: () => adamw({ learningRate: linearDecay({ peak: RATE, steps, warmup: Math.min(20, Math.floor(steps / 10)) }) }) as GradientTransform,
  });
  const perStep = multilevelPlan({ levels: [model], initSteps: [], steps: [1], tokensPerStep: BATCH * CONTEXT }).flops;
  return { valLoss, points: smoothed(losses.map((loss, i) => [(i + 1) * perStep, loss] as const)) };
}

async function cycleRun(lab: Lab, task: TextTask, seed: number, alpha: number): Promise<Run> {
  const { init, small, up } = stepsOf(lab.quick);
  const levels = [modelOf(task, 4, 64, 4), modelOf(task, 2, 32, 2)] as const;
  lab.say(`cycle with alpha ${alpha}: ${init} + ${small} + ${up} steps`);
  const batches = task.batches({ seed, batchSize: BATCH, contextLength: CONTEXT });
  const points: [number, number][] = [];
  let flops = 0;
  const { params } = await multilevelTrain<Params & GptParams, TokenBatch>({
    levels: levels.map((model) => ({ ...model, init: ({ seed: from }: { seed: number }) => model.init({ seed: from }), loss: (batch: TokenBatch, leaves: Params & GptParams, call) => model.loss(batch, leaves, call) })),
    initSteps: init, steps: [up, small], tokensPerStep: BATCH * CONTEXT, alpha, seed, batches: (step) => batches(step), optimizerFor,
    callbacks: { onStep: ({ loss }, stage) => { flops += stage.flops / stage.steps; points.push([flops, loss]); } },
  });
  try {
    return { valLoss: await meanLoss(levels[0], params, {}, valBatches(lab, task)), points: smoothed(points) };
  } finally {
    dispose(params as TensorContainer);
  }
}

/** AdamW with a schedule of its own for each stage: the first warms up, all fall linearly. */
function optimizerFor({ level, phase, steps }: Stage): GradientTransform {
  const peak = level === 0 ? RATE : SMALL_RATE;
  return adamw({ learningRate: linearDecay({ peak, steps: phase === 'down' ? 2 * steps : steps, warmup: phase === 'down' ? Math.floor(steps / 2) : 0 }) }) as GradientTransform;
}

const valBatches = (lab: Lab, task: TextTask) => task.valBatches({ batchSize: BATCH, contextLength: CONTEXT, count: lab.quick ? 8 : 32 });

/** Means of ten steps. */
const smoothed = (points: readonly (readonly [number, number])[]): (readonly [number, number])[] =>
  Array.from({ length: Math.floor(points.length / 10) }, (_, i) => points.slice(10 * i, 10 * i + 10)).map((part) => [part[9]?.[0] as number, meanOf(part.map(([, loss]) => loss))] as const);

const costChart = (runs: readonly (readonly [name: string, run: Run])[]): Chart => ({
  title: 'Training loss against the cost so far', x: { label: 'floating-point operations' }, y: { label: 'loss', unit: 'nats' },
  series: runs.map(([name, { points }]) => ({ name, points })),
});

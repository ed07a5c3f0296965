import { dispose, type TensorContainer } from '@tensorflow/tfjs-core';
import type { GradientTransform } from '@evenkeel/core-tensor';
import type { Batch } from '@evenkeel/data';
import { linearLayer, type PlacementName } from '@evenkeel/layers';
import { gpt } from '@evenkeel/models-gpt';
import { rmsNormLayer } from '@evenkeel/norms';
import { adamw, decayMask, warmupLinear } from '@evenkeel/optimizers';
import { hiddenProfile, type HiddenProfile } from '../hiddenProfile.ts';
import { byFanIn } from '../initialisers.ts';
import { tensorsOf, textTask, type Lab, type TextTask } from '../lab.ts';
import { numbered } from '../numbers.ts';
import type { Chart, Measurement, Numbers, Reproduction } from '../reproduction.ts';
import { trainArm, type ArmResult } from '../trainArm.ts';

const sizesOf = (quick: boolean) => ({ depth: quick ? 8 : 24, dim: 32, numHeads: 2, contextLength: 64, batchSize: 8, steps: quick ? 40 : 200 });
const LEARNING_RATE = 1e-2; // deliberately high
const WARMUP = 10;
const n = (numbers: Numbers, name: string): number => numbers[name] as number;

/** periLn — arXiv:2502.02732. */
export const periLn: Reproduction = {
  slug: 'peri-ln',
  paper: { title: 'Peri-LN: Revisiting Normalization Layer in the Transformer Architecture', arxiv: '2502.02732' },
  claim: 'With norms before and after each sub-layer the variance of the residual stream grows about linearly with depth, where with pre-norm it explodes in training; the loss is no worse and the gradient has no more spikes.',
  arms: { baseline: 'pre-norm', technique: 'Peri-LN' },
  criterion: [
    { says: 'variance after the last block over that of the embedding at least twice as large with pre-norm', holds: ({ baseline, technique }) => n(baseline, 'varianceGrowth') >= 2 * n(technique, 'varianceGrowth') },
    { says: 'no more spikes of the gradient norm than pre-norm', holds: ({ baseline, technique }) => n(technique, 'spikes') <= n(baseline, 'spikes') },
    { says: 'validation loss at most 0.02 above that of pre-norm', holds: ({ baseline, technique }) => n(technique, 'valLoss') <= n(baseline, 'valLoss') + 0.02 },
  ],
  quickCriterion: [
    { says: 'the variance grows less than with pre-norm', holds: ({ baseline, technique }) => n(technique, 'varianceGrowth') < n(baseline, 'varianceGrowth') },
  ],
  meanings: {
    varianceGrowth: 'variance of the stream after the last block / of the embedding', spikes: 'steps from the 21st on whose gradient norm is over 3 times the median of the 20 before',
    valLoss: 'validation loss (nats)',
  },
  measure,
};

async function measure(lab: Lab, seed: number): Promise<Measurement> {
  const task = await textTask(lab);
  const names: readonly PlacementName[] = ['pre', 'peri', 'post'];
  const arms: Arm[] = [];
  for (const name of names) arms.push(await arm(lab, task, seed, name));
  const [pre, peri] = arms as [Arm, Arm, Arm];
  const chart = (about: Omit<Chart, 'series'>, points: (arm: Arm) => readonly number[], from = 0): Chart =>
    ({ ...about, series: arms.map((each, i) => ({ name: `${names[i]}-norm`, points: numbered(points(each), from) })) });
  return {
    baseline: pre.numbers, technique: peri.numbers,
    charts: [
      chart({ title: 'Variance of the residual stream over depth, after training', x: { label: 'block' }, y: { label: 'variance', scale: 'log' } }, ({ profile }) => profile?.variances ?? []),
      chart({ title: 'Norm of the gradient', x: { label: 'step' }, y: { label: 'global norm', scale: 'log' } }, ({ result }) => result.gradNorms, 1),
      chart({ title: 'Training loss', x: { label: 'step' }, y: { label: 'loss', unit: 'nats' } }, ({ result }) => result.losses, 1),
    ],
  };
}

type Arm = { readonly numbers: Numbers; readonly profile: HiddenProfile | undefined; readonly result: ArmResult };

async function arm(lab: Lab, task: TextTask, seed: number, placement: PlacementName): Promise<Arm> {
  const { batchSize, steps, ...sizes } = sizesOf(lab.quick);
  const window = { batchSize, contextLength: sizes.contextLength };
  lab.say(`${placement}-norm: ${steps} steps of ${sizes.depth} blocks`);
  const model = gpt({ vocabSize: task.vocabSize, ...sizes, placement, norm: rmsNormLayer(), embeddingNorm: rmsNormLayer(), linear: linearLayer({ bias: false, initialiser: byFanIn }), tiedHead: false });
  const valBatches = task.valBatches({ ...window, count: lab.quick ? 4 : 16 });
  let profile: HiddenProfile | undefined;
  const result = await trainArm({
    model, steps, seed, valBatches, batches: task.batches({ seed, ...window }),
    optimizer: (specs) => adamw({ learningRate: warmupLinear({ peak: LEARNING_RATE, warmup: WARMUP }), weightDecay: 0.1, mask: decayMask(specs) }) as GradientTransform,
    afterwards: async ({ params }) => {
      const batch = tensorsOf(valBatches[0] as Batch);
      profile = await hiddenProfile(model, params, batch);
      dispose(batch as TensorContainer);
    },
  });
  const { variances = [NaN] } = profile ?? {};
  return { profile, result, numbers: { varianceGrowth: (variances.at(-1) as number) / (variances[0] as number), spikes: spikesOf(result.gradNorms), valLoss: result.valLoss } };
}

/** Steps whose gradient norm is over three times the median of the twenty before. */
function spikesOf(norms: readonly number[]): number {
  const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;
  return norms.filter((norm, i) => i >= 20 && norm > 3 * median(norms.slice(i - 20, i))).length;
}

import { dispose, type TensorContainer } from '@tensorflow/tfjs-core';
import type { GradientTransform } from '@evenkeel/core-tensor';
import type { Batch } from '@evenkeel/data';
import { linearLayer, type PlacementName } from '@evenkeel/layers';
import { layerDropAblation } from '@evenkeel/diagnostics';
import { gpt, type GptParams } from '@evenkeel/models-gpt';
import { rmsNormLayer } from '@evenkeel/norms';
import { adamw, cosine } from '@evenkeel/optimizers';
import type { Axis } from '@evenkeel/training';
import { hiddenProfile, type HiddenProfile } from '../hiddenProfile.ts';
import { tensorsOf, textTask, type Lab, type TextTask } from '../lab.ts';
import { byFanIn } from '../initialisers.ts';
import { meanOf, numbered } from '../numbers.ts';
import type { Chart, Measurement, Reproduction } from '../reproduction.ts';
import { meanLoss, trainArm } from '../trainArm.ts';

const sizesOf = (quick: boolean) => ({ depth: quick ? 12 : 24, dim: 32, numHeads: 2, contextLength: 64, batchSize: 8, steps: quick ? 40 : 300 });

/** layernormScaling — arXiv:2502.05795. */
export const layernormScaling: Reproduction = {
  slug: 'layernorm-scaling',
  paper: { title: 'The Curse of Depth in Large Language Models', arxiv: '2502.05795' },
  claim: 'Scaling the norms of block l by 1/√l keeps the variance of the residual stream from growing with depth, so that deep blocks contribute more, at no cost in loss.',
  arms: { baseline: 'pre-norm', technique: 'LayerNorm Scaling' },
  criterion: [
    { says: 'variance after the last block over that of the embedding at least twice as large with pre-norm', holds: ({ baseline, technique }) => (baseline['varianceGrowth'] as number) >= 2 * (technique['varianceGrowth'] as number) },
    { says: 'angle between the stream before and behind a block, mean over the last third, larger with LayerNorm Scaling', holds: ({ baseline, technique }) => (technique['deepAngle'] as number) > (baseline['deepAngle'] as number) },
    { says: 'removing a block of the last third costs more with LayerNorm Scaling', holds: ({ baseline, technique }) => (technique['deepDrop'] as number) > (baseline['deepDrop'] as number) },
    { says: 'validation loss at most 0.02 above that of pre-norm', holds: ({ baseline, technique }) => (technique['valLoss'] as number) <= (baseline['valLoss'] as number) + 0.02 },
  ],
  quickCriterion: [
    { says: 'the variance grows less with LayerNorm Scaling', holds: ({ baseline, technique }) => (technique['varianceGrowth'] as number) < (baseline['varianceGrowth'] as number) },
  ],
  meanings: {
    varianceGrowth: 'variance of the stream after the last block / of the embedding', deepAngle: 'mean angle between the stream before and behind a block of the last third, over π',
    deepDrop: 'mean rise of the loss (nats) when one block of the last third is removed', valLoss: 'validation loss (nats)',
  },
  notes: ['Pre-norm grows only about linearly with depth in a run this short, not exponentially as in long training; the factor then makes what deep blocks add smaller, and the parts of the criterion about deep blocks hang on the seed. Longer training does not turn it: 12 blocks of width 48, all maps started with N(0, 0.02²), after 2500 steps at 3e-3 (seed 101): angle 0.076 with pre-norm and 0.028 with the factor, rise of the loss 0.084 and 0.010 nats, loss 1.880 and 1.891.'],
  measure,
};

async function measure(lab: Lab, seed: number): Promise<Measurement> {
  const task = await textTask(lab);
  const pre = await arm(lab, task, seed, 'pre');
  const lns = await arm(lab, task, seed, 'lns');
  const over = (title: string, y: Axis, pick: (profile: Arm) => readonly number[]): Chart => ({
    title, x: { label: 'block' }, y,
    series: [{ name: 'pre-norm', points: numbered(pick(pre)) }, { name: 'LayerNorm Scaling', points: numbered(pick(lns)) }],
  });
  return {
    baseline: pre.numbers, technique: lns.numbers,
    charts: [
      over('Variance of the residual stream over depth, after training', { label: 'variance', scale: 'log' }, ({ profile }) => profile.variances),
      over('How far each block turns the stream', { label: 'angular distance', fromZero: true }, ({ profile }) => [NaN, ...profile.angularDistances]),
      over('What each block is worth', { label: 'rise of the loss without it', unit: 'nats' }, ({ drops }) => [NaN, ...drops]),
    ],
  };
}

type Arm = { readonly numbers: Measurement['baseline']; readonly profile: HiddenProfile; readonly drops: readonly number[] };

async function arm(lab: Lab, task: TextTask, seed: number, placement: PlacementName): Promise<Arm> {
  const { batchSize, steps, ...sizes } = sizesOf(lab.quick);
  const window = { batchSize, contextLength: sizes.contextLength };
  lab.say(`${placement}: ${steps} steps of ${sizes.depth} blocks`);
  const model = gpt({
    vocabSize: task.vocabSize, ...sizes, placement, norm: rmsNormLayer(), linear: linearLayer({ bias: false, initialiser: byFanIn }), // at full size in both arms
 tiedHead: false,
  });
  const valBatches = task.valBatches({ ...window, count: lab.quick ? 4 : 16 });
  let profile: HiddenProfile | undefined;
  let drops: readonly number[] = [];
  const { valLoss } = await trainArm({
    model, steps, seed, valBatches, batches: task.batches({ seed, ...window }),
    optimizer: () => adamw({ learningRate: cosine({ peak: 3e-3, steps, warmup: steps / 10, floor: 3e-4 }), weightDecay: 0 }) as GradientTransform,
    afterwards: async ({ params }) => {
      const batch = tensorsOf(valBatches[0] as Batch);
      profile = await hiddenProfile(model, params, batch);
      dispose(batch as TensorContainer);
      ({ drops } = await layerDropAblation((left) => meanLoss(model, left as unknown as GptParams, {}, valBatches.slice(0, 2)), params));
    },
  });
  const { variances, angularDistances } = profile as HiddenProfile;
  const third = Math.ceil((2 * sizes.depth) / 3);
  return {
    profile: profile as HiddenProfile, drops,
    numbers: { varianceGrowth: (variances.at(-1) as number) / (variances[0] as number), deepAngle: meanOf(angularDistances.slice(third)), deepDrop: meanOf(drops.slice(third)), valLoss },
  };
}

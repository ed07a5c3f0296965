import { dispose, type TensorContainer } from '@tensorflow/tfjs-core';
import type { GradientTransform } from '@evenkeel/core-tensor';
import { collectHidden, fitFirstOrderStepResponse, fitMassiveActivationCurve, massiveActivationCurve, massiveActivationTracker, type MassiveActivationTracker } from '@evenkeel/diagnostics';
import { gpt, type GptTechniques } from '@evenkeel/models-gpt';
import { qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { adamw } from '@evenkeel/optimizers';
import { tensorsOf, textTask, withFirstToken, type Lab, type TextTask } from '../lab.ts';
import { meanOf } from '../numbers.ts';
import type { Chart, Measurement, Numbers, Reproduction } from '../reproduction.ts';
import { trainArm } from '../trainArm.ts';

const sizesOf = (quick: boolean) => ({ depth: 4, dim: 64, numHeads: 4, contextLength: 64, batchSize: quick ? 8 : 16, steps: quick ? 60 : 1000 });
const RATE = 3e-3;
const n = (numbers: Numbers, name: string): number => numbers[name] as number;

/** massiveActivations — arXiv:2508.03616. */
export const massiveActivations: Reproduction = {
  slug: 'massive-activations',
  paper: { title: 'Hidden Dynamics of Massive Activations in Transformer Training', arxiv: '2508.03616' },
  claim: 'A few activations of the residual stream become far larger than the typical one in training; the ratio of a layer follows one curve of five parameters; norms behind the sub-layers keep it small.',
  arms: { baseline: 'pre-norm', technique: 'Peri-LN and qk-norm' },
  criterion: [
    { says: 'largest ratio of a layer at the end at least twice what it was at the start', holds: ({ baseline }) => n(baseline, 'ratio') >= 2 * n(baseline, 'ratioAtStart') },
    { says: 'the curve fits with R² ≥ 0.9 in at least 3 of 4 layers', holds: ({ baseline }) => n(baseline, 'layersFitted') >= 3 },
    { says: 'and better than K(1 − exp(−t/τ)), by AIC, in at least 3 of 4', holds: ({ baseline }) => n(baseline, 'layersBetter') >= 3 },
    { says: 'with Peri-LN and qk-norm the ratio at the end is at most 0.7 of what it is without', holds: ({ baseline, technique }) => n(technique, 'ratio') <= 0.7 * n(baseline, 'ratio') },
  ],
  quickCriterion: [
    { says: 'the curve fits better than a first-order response (AIC) in at least 3 of 4 layers', holds: ({ baseline }) => n(baseline, 'layersBetter') >= 3 },
  ],
  meanings: {
    ratioAtStart: 'largest |h| over the median |h|, before training, largest of the layers', ratio: 'the same at the end', r2: 'R² of the five-parameter curve, mean over the layers',
    layersFitted: 'layers whose curve has R² ≥ 0.9', layersBetter: 'layers in which it has a lower AIC (error and number of parameters) than K(1 − exp(−t/τ))', valLoss: 'validation loss (nats)',
  },
  notes: ['Massive activations in the strict sense (over 100 and over 1000 times the median) do not occur in models this small; the ratio is what the paper follows too.'],
  measure,
};

type Arm = { readonly numbers: Numbers; readonly tracker: MassiveActivationTracker };

async function measure(lab: Lab, seed: number): Promise<Measurement> {
  const task = withFirstToken(await textTask(lab));
  const plain = await arm(lab, task, seed, 'pre-norm', { placement: 'pre' });
  const cured = await arm(lab, task, seed, 'Peri-LN and qk-norm', { placement: 'peri', qkNorm: qkNorm() });
  return { baseline: plain.numbers, technique: cured.numbers, charts: [ratioChart('Pre-norm: largest activation over the median', plain, cured, lab), ratioChart('Peri-LN and qk-norm: the same', cured, plain, lab), fitChart(plain, lab)] };
}

async function arm(lab: Lab, task: TextTask, seed: number, name: string, techniques: GptTechniques): Promise<Arm> {
  const { batchSize, steps, ...sizes } = sizesOf(lab.quick);
  const window = { batchSize, contextLength: sizes.contextLength };
  lab.say(`${name}: ${steps} steps`);
  const model = gpt({ vocabSize: task.vocabSize, ...sizes, ...techniques, norm: rmsNormLayer() });
  const watched = task.valBatches({ ...window, batchSize: 8, count: 1 })[0];
  const tracker = massiveActivationTracker();
  const due = new Set(stepsToRead(steps));
  const { valLoss } = await trainArm({
    model, steps, seed, batches: task.batches({ seed, ...window }), valBatches: task.valBatches({ ...window, count: 8 }),
    optimizer: () => adamw({ learningRate: RATE }) as GradientTransform,
    onStep: async (step, { params }) => {
      if (watched === undefined || !due.has(step)) return;
      const batch = tensorsOf(watched);
      const hidden = collectHidden((observe) => model.apply(batch.inputs, params, { observe }));
      await tracker.record(step, hidden);
      dispose([batch, hidden] as TensorContainer);
    },
  });
  return { tracker, numbers: { ...numbersOf(tracker, sizes.depth), valLoss } };
}

/** About 32 steps, dense at the beginning. */
function stepsToRead(steps: number): number[] {
  const count = 32;
  return [...new Set(Array.from({ length: count }, (_, i) => Math.round(steps * (i / (count - 1)) ** 1.6)))];
}

function numbersOf(tracker: MassiveActivationTracker, depth: number): Numbers {
  const layers = Array.from({ length: depth }, (_, i) => tracker.series(i + 1));
  const fits = layers.map((points) => ({ curve: fitMassiveActivationCurve(points), first: fitFirstOrderStepResponse(points) }));
  return {
    ratioAtStart: Math.max(...layers.map((points) => points[0]?.y ?? NaN)), ratio: Math.max(...layers.map((points) => points.at(-1)?.y ?? NaN)),
    r2: meanOf(fits.map(({ curve }) => curve.r2)), layersFitted: fits.filter(({ curve }) => curve.r2 >= 0.9).length,
    layersBetter: fits.filter(({ curve, first }) => curve.aic < first.aic).length,
  };
}

/** On the same scale as that of the other arm. */
function ratioChart(title: string, arm: Arm, other: Arm, lab: Lab): Chart {
  const layers = Array.from({ length: sizesOf(lab.quick).depth }, (_, i) => i + 1);
  const all = [arm, other].flatMap(({ tracker }) => layers.flatMap((layer) => tracker.series(layer).map(({ y }) => y)));
  return {
    title, x: { label: 'step' }, y: { label: 'ratio', scale: 'log', domain: [Math.min(...all), Math.max(...all)] }, colors: 'ordered',
    series: layers.map((layer) => ({ name: `layer ${layer}`, points: arm.tracker.series(layer).map(({ x, y }) => [x, y] as const) })),
  };
}

/** The layer with the largest ratio, and the curve that was fitted to it. */
function fitChart({ tracker }: Arm, lab: Lab): Chart {
  const layers = Array.from({ length: sizesOf(lab.quick).depth }, (_, i) => i + 1);
  const last = (layer: number): number => tracker.series(layer).at(-1)?.y ?? 0;
  const layer = layers.reduce((best, each) => (last(each) > last(best) ? each : best));
  const points = tracker.series(layer);
  const curve = fitMassiveActivationCurve(points);
  return {
    title: `Layer ${layer} of pre-norm and its curve (R² ${curve.r2.toFixed(3)})`, x: { label: 'step' }, y: { label: 'ratio' },
    series: [
      { name: 'measured', style: 'dots', points: points.map(({ x, y }) => [x, y] as const) },
      { name: 'fitted', points: Array.from({ length: 200 }, (_, i) => (i / 199) * (points.at(-1)?.x ?? 1)).map((t) => [t, massiveActivationCurve(t, curve)] as const) },
    ],
  };
}

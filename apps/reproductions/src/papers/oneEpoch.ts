import type { GradientTransform } from '@evenkeel/core-tensor';
import { epochBatches, splitTokens } from '@evenkeel/data';
import { fitPowerLaw } from '@evenkeel/diagnostics';
import { gpt } from '@evenkeel/models-gpt';
import { adamw, cosine } from '@evenkeel/optimizers';
import { tensorsOf, textTask, type Lab, type TextTask } from '../lab.ts';
import { meanOf, numbered } from '../numbers.ts';
import type { Chart, Measurement, Numbers, Reproduction } from '../reproduction.ts';
import { meanLoss, trainArm, type ArmResult } from '../trainArm.ts';

const EPOCHS = 10;
const sizesOf = (quick: boolean) => ({ depth: 3, dim: quick ? 32 : 48, numHeads: 4, contextLength: 64, batchSize: 16, steps: quick ? 200 : 900 });
const RATE = 2e-3;
/** Steps whose mean loss is one point of the power law. */
const MEAN_OF = 20;
const n = (numbers: Numbers, name: string): number => numbers[name] as number;

/** oneEpoch — arXiv:1906.06669. */
export const oneEpoch: Reproduction = {
  slug: 'one-epoch',
  paper: { title: 'One Epoch Is All You Need', arxiv: '1906.06669' },
  claim: 'One pass over ten times as much text, without dropout, beats ten passes over a tenth of it with as many steps, and neither overfits nor needs regularisation.',
  arms: { baseline: 'ten epochs of a tenth', technique: 'one epoch' },
  criterion: [
    { says: 'validation loss at least 0.1 nats below the better of ten epochs with and without dropout', holds: ({ baseline, technique }) => n(technique, 'valLoss') <= n(baseline, 'valLoss') - 0.1 },
    { says: 'gap between validation and training loss below 0.1 nats, and smaller than that of ten epochs without dropout', holds: ({ baseline, technique }) => Math.abs(n(technique, 'gap')) < 0.1 && Math.abs(n(technique, 'gap')) < Math.abs(n(baseline, 'gap')) },
    { says: 'loss against steps is a power law between 10 % and 80 % of the steps, R² ≥ 0.97', holds: ({ technique }) => n(technique, 'r2') >= 0.97 },
  ],
  quickCriterion: [{ says: 'validation loss below that of ten epochs', holds: ({ baseline, technique }) => n(technique, 'valLoss') < n(baseline, 'valLoss') }],
  meanings: {
    valLoss: 'validation loss (nats); of ten epochs the better with or without dropout', gap: 'validation loss − mean training loss of the last 20 steps (nats), without dropout',
    r2: 'R² of a power law through the smoothed training loss at a constant learning rate',
  },
  measure,
};

type Kind = { readonly name: string; readonly epochs: number; readonly dropout: number; readonly isConstant?: boolean };

async function measure(lab: Lab, seed: number): Promise<Measurement> {
  const task = await textTask(lab);
  const run = (kind: Kind): Promise<Run> => runOf(lab, task, seed, kind);
  const dropped = await run({ name: `${EPOCHS} epochs, dropout 0.1`, epochs: EPOCHS, dropout: 0.1 });
  const repeated = await run({ name: `${EPOCHS} epochs`, epochs: EPOCHS, dropout: 0 });
  const once = await run({ name: 'one epoch', epochs: 1, dropout: 0 });
  const constant = await run({ name: 'one epoch, constant learning rate', epochs: 1, dropout: 0, isConstant: true });
  const { points, law } = powerLaw(constant.result.losses);
  return {
    baseline: { valLoss: Math.min(dropped.result.valLoss, repeated.result.valLoss), gap: repeated.result.valLoss - meanOf(repeated.result.losses.slice(-20)) },
    technique: { valLoss: once.result.valLoss, gap: once.result.valLoss - meanOf(once.result.losses.slice(-20)), r2: law.r2 },
    charts: [validationChart([dropped, repeated, once]), trainingChart([dropped, repeated, once]), {
      title: `One epoch at a constant learning rate (R² ${law.r2.toFixed(3)})`, x: { label: 'step', scale: 'log' }, y: { label: 'training loss', unit: 'nats', scale: 'log' },
      series: [{ name: `measured, mean of ${MEAN_OF} steps`, style: 'dots', points: points.map(({ x, y }) => [x, y] as const) }, { name: 'power law', points: points.map(({ x }) => [x, law.a * x ** -law.b] as const) }],
    }],
  };
}

type Run = Kind & { readonly result: ArmResult; readonly validation: readonly (readonly [step: number, loss: number])[] };

async function runOf(lab: Lab, task: TextTask, seed: number, kind: Kind): Promise<Run> {
  const { batchSize, steps, ...sizes } = sizesOf(lab.quick);
  lab.say(`${kind.name}: ${steps} steps`);
  const window = { batchSize, contextLength: sizes.contextLength };
  const all = steps * batchSize * sizes.contextLength + sizes.contextLength;
  const text = splitTokens(task.train, Math.max(0, 1 - all / kind.epochs / task.train.length)).train; // the beginning
  const batches = epochBatches(text, { ...window, seed, allowRepeat: kind.epochs > 1 });
  const model = gpt({ vocabSize: task.vocabSize, ...sizes, dropout: kind.dropout });
  const valBatches = task.valBatches({ ...window, count: lab.quick ? 8 : 32 });
  const validation: [number, number][] = [];
  const schedule = kind.isConstant ? RATE : cosine({ peak: RATE, steps, warmup: 20, floor: RATE / 10 });
  const result = await trainArm({
    model, steps: kind.epochs > 1 ? steps : Math.min(steps, batches.length), seed, valBatches, batches: (step) => tensorsOf(batches.batch(step)),
    optimizer: () => adamw({ learningRate: schedule }) as GradientTransform,
    onStep: async (step, { params, state }) => {
      if (step % Math.round(steps / 20) === 0) validation.push([step, await meanLoss(model, params, state, valBatches.slice(0, 8))]);
    },
  });
  return { ...kind, result, validation };
}

function powerLaw(losses: readonly number[]) {
  const means = Array.from({ length: Math.floor(losses.length / MEAN_OF) }, (_, i) => ({ x: MEAN_OF * (i + 0.5), y: meanOf(losses.slice(MEAN_OF * i, MEAN_OF * (i + 1))) }));
  const points = means.filter(({ x }) => x >= 0.1 * losses.length && x <= 0.8 * losses.length);
  return { points, law: fitPowerLaw(points) };
}

const validationChart = (runs: readonly Run[]): Chart => ({
  title: 'Validation loss', x: { label: 'step' }, y: { label: 'loss', unit: 'nats' }, series: runs.map(({ name, validation }) => ({ name, points: validation })),
});

const trainingChart = (runs: readonly Run[]): Chart => ({
  title: 'Training loss', x: { label: 'step' }, y: { label: 'loss', unit: 'nats' }, series: runs.map(({ name, result }) => ({ name, points: numbered(result.losses, 1) })),
});

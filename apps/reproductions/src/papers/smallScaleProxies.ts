import { max } from '@tensorflow/tfjs-core';
import type { GradientTransform, Monitor } from '@evenkeel/core-tensor';
import { lrSensitivity } from '@evenkeel/diagnostics';
import { linearLayer } from '@evenkeel/layers';
import { gpt } from '@evenkeel/models-gpt';
import { layerNormLayer, qkNorm } from '@evenkeel/norms';
import { adamw, chain, clipByGlobalNorm, cosine } from '@evenkeel/optimizers';
import { byFanIn } from '../initialisers.ts';
import { textTask, type Lab, type TextTask } from '../lab.ts';
import { meanOf, rankCorrelation } from '../numbers.ts';
import type { Chart, Measurement, Numbers, Reproduction } from '../reproduction.ts';
import { trainArm, type ArmResult } from '../trainArm.ts';

const sizesOf = (quick: boolean) => ({
  widths: quick ? [32] : [64, 96], rates: quick ? [1e-3, 1e-2, 1e-1] : [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1],
  steps: quick ? 60 : 300, warmup: quick ? 10 : 20, depth: quick ? 3 : 6, numHeads: 4, contextLength: 32, batchSize: 16,
});
const FLOOR = 1e-5;
/** Of AdamW as usual, times the learning rate; and per step whatever the rate, a third of the weights in a run of 300 steps. */
const DECAY = { coupled: 0.1, independent: 1e-3 };
const n = (numbers: Numbers, name: string): number => numbers[name] as number;

/** smallScaleProxies — arXiv:2309.14322. */
export const smallScaleProxies: Reproduction = {
  slug: 'small-scale-proxies',
  paper: { title: 'Small-scale proxies for large-scale Transformer training instabilities', arxiv: '2309.14322' },
  claim: 'Norms of queries and keys, z-loss and independent weight decay make training much less sensitive to the learning rate; without them attention logits grow, and their growth shows the instability before the loss does.',
  arms: { baseline: 'AdamW with coupled decay', technique: 'qk-norm, z-loss, independent decay' },
  criterion: [
    { says: 'learning-rate sensitivity, mean over the widths, at most 0.8 of what it is without', holds: ({ baseline, technique }) => n(technique, 'sensitivity') <= 0.8 * n(baseline, 'sensitivity') },
    { says: 'largest attention logit of block 0 at learning rate 0.1 at least 5 times smaller', holds: ({ baseline, technique }) => n(baseline, 'logitAtHighRate') >= 5 * n(technique, 'logitAtHighRate') },
    { says: 'without them it is over 5 times what it is at learning rate 0.001', holds: ({ baseline }) => n(baseline, 'logitAtHighRate') > 5 * n(baseline, 'logitAtLowRate') },
    { says: 'and after a fifth of the steps it orders the learning rates from the best one on as their final losses will (rank correlation at least 0.8)', holds: ({ baseline }) => n(baseline, 'foresight') >= 0.8 },
  ],
  quickCriterion: [
    { says: 'the attention logits at learning rate 0.1 stay smaller', holds: ({ baseline, technique }) => n(technique, 'logitAtHighRate') < n(baseline, 'logitAtHighRate') },
    { says: 'without the techniques they grow with the learning rate', holds: ({ baseline }) => n(baseline, 'logitAtHighRate') > n(baseline, 'logitAtLowRate') },
  ],
  meanings: {
    sensitivity: 'learning-rate sensitivity (nats), mean over the widths', bestLoss: 'best final loss (nats), mean over the widths',
    logitAtHighRate: 'largest attention logit of block 0, learning rate 0.1', logitAtLowRate: 'the same, learning rate 0.001',
    foresight: 'rank correlation of that logit after a fifth of the steps and the final loss, over learning rates from the best one on',
  },
  notes: ['The independent decay is 1e-3 a step, ten times the paper’s, as a run here is shorter by more than that. The largest attention logit is that of block 0.'],
  measure,
};

type Run = { readonly width: number; readonly rate: number; readonly result: ArmResult };

async function measure(lab: Lab, seed: number): Promise<Measurement> {
  const task = await textTask(lab);
  const plain = await allRuns(lab, task, seed, false);
  const cured = await allRuns(lab, task, seed, true);
  return { baseline: numbersOf(plain), technique: numbersOf(cured), charts: chartsOf(plain, cured) };
}

async function allRuns(lab: Lab, task: TextTask, seed: number, isCured: boolean): Promise<Run[]> {
  const { widths, rates, steps, warmup, depth, numHeads, contextLength, batchSize } = sizesOf(lab.quick);
  const runs: Run[] = [];
  for (const width of widths) {
    for (const rate of rates) {
      lab.say(`${isCured ? 'with' : 'without'} the techniques: width ${width}, learning rate ${rate}`);
      const model = gpt({
        vocabSize: task.vocabSize, contextLength, depth, dim: width, numHeads, tiedHead: false,
        norm: layerNormLayer({ eps: 1e-6, bias: false }), linear: linearLayer({ bias: false, initialiser: byFanIn }),
        ...(isCured && { qkNorm: qkNorm(), zLoss: 1e-4 }),
      });
      const decay = isCured ? DECAY.independent / rate : DECAY.coupled;
      const result = await trainArm({
        model, steps, seed, monitor: logitMonitor, batches: task.batches({ seed, batchSize, contextLength }),
        optimizer: () => chain(clipByGlobalNorm(1), adamw({
          learningRate: cosine({ peak: rate, steps, warmup, floor: FLOOR }), beta2: 0.95, weightDecay: decay,
        }) as GradientTransform) as GradientTransform,
      });
      runs.push({ width, rate, result });
    }
  }
  return runs;
}

const logitMonitor: Monitor = { every: 10, observe: (name, value) => (name === 'blocks.0.attn.rowMax' ? { logit: max(value) } : undefined) };

const finalLogit = ({ result: { readings } }: Run): number => readings.at(-1)?.values['logit']?.[0] ?? NaN;

function numbersOf(runs: readonly Run[]): Numbers {
  const widths = [...new Set(runs.map(({ width }) => width))];
  const at = (rate: number): number => meanOf(runs.filter((run) => run.rate === rate).map(finalLogit));
  const best = (width: number): number => Math.min(...runs.filter((run) => run.width === width).map(({ result }) => result.finalLoss));
  return {
    sensitivity: meanOf(widths.map((width) => sensitivity(runs.filter((run) => run.width === width)))),
    bestLoss: meanOf(widths.map(best)), logitAtHighRate: at(1e-1), logitAtLowRate: at(1e-3),
    foresight: meanOf(widths.map((width) => foresight(runs.filter((run) => run.width === width)))),
  };
}

/** Whether early logits tell which of the rates from the best one on will end badly. */
function foresight(runs: readonly Run[]): number {
  const losses = runs.map(({ result }) => result.finalLoss);
  const from = losses.indexOf(Math.min(...losses));
  const early = runs.map(({ result: { readings } }) => readings[Math.floor(readings.length / 5)]?.values['logit']?.[0] ?? NaN);
  return rankCorrelation(early.slice(from), losses.slice(from));
}

function sensitivity(runs: readonly Run[]): number {
  return lrSensitivity(runs.map(({ rate, result }) => ({ learningRate: rate, loss: result.finalLoss })), meanOf(runs.map(({ result }) => result.losses[0] as number)));
}

function chartsOf(plain: readonly Run[], cured: readonly Run[]): Chart[] {
  const arms = [['without', plain], ['with', cured]] as const;
  const byWidth = arms.flatMap(([name, runs]) => [...new Set(runs.map(({ width }) => width))].map((width) => ({ name: `${name}, width ${width}`, runs: runs.filter((run) => run.width === width) })));
  return [
    { title: 'Final loss against learning rate', x: { label: 'learning rate', scale: 'log' }, y: { label: 'loss of the last ten steps', unit: 'nats' }, series: byWidth.map(({ name, runs }) => ({ name, points: runs.map(({ rate, result }) => [rate, result.finalLoss] as const) })) },
    { title: 'Largest attention logit of block 0 at the end', x: { label: 'learning rate', scale: 'log' }, y: { label: 'logit', scale: 'log' }, series: byWidth.map(({ name, runs }) => ({ name, points: runs.map((run) => [run.rate, finalLogit(run)] as const) })) },
    ...arms.map(([name, runs]): Chart => ({
      title: `Growth of the largest attention logit ${name} the techniques, width ${runs.at(-1)?.width}`, x: { label: 'step' }, y: { label: 'logit', scale: 'log' }, colors: 'ordered',
      series: runs.filter(({ width }) => width === runs.at(-1)?.width).map(({ rate, result }) => ({ name: `learning rate ${rate}`, points: result.readings.map(({ step, values }) => [step, values['logit']?.[0] ?? NaN] as const) })),
    })),
  ];
}

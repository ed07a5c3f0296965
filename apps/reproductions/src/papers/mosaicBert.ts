import { dispose, type TensorContainer } from '@tensorflow/tfjs-core';
import { trainWordPiece, type Tokenizer } from '@evenkeel/data';
import { accuracy, bert, matthews, mosaicBert as mosaic, type Bert } from '@evenkeel/models-bert';
import { fineTuneClasses, type FineTuned } from '../fineTuneArm.ts';
import type { Lab } from '../lab.ts';
import { maskedLoss, pretrain, sequenceOf, sequencesOf, type BertLeaves } from '../maskedText.ts';
import { meanOf } from '../numbers.ts';
import type { Chart, Measurement, Numbers, Reproduction } from '../reproduction.ts';

/** `budgets`: steps of the baseline, whose time is what both arms have. */
const sizesOf = (quick: boolean) => ({
  depth: quick ? 2 : 3, dim: quick ? 32 : 64, numHeads: 4, contextLength: 64, vocabSize: quick ? 1024 : 2048, batchSize: quick ? 16 : 32,
  budgets: quick ? [120] : [150, 300, 600], turns: quick ? 6 : 10, valCount: quick ? 200 : 1000,
});
/** Of the encoder that is fine-tuned: a wider one, pre-trained for longer, on the tasks' sentences `repeats` times as often. */
const TUNED = { dim: 128, vocabSize: 4096, repeats: 4, steps: 8000, learningRate: 2e-3, fineTuneSteps: 1200 };
/** The best of 5e-4, 1e-3 and 2e-3 for each. */
const RATES = { baseline: 1e-3, technique: 2e-3 };
const PROB = { baseline: 0.15, technique: 0.3 };
/** Losses are compared at one share of masked tokens. */
const VAL_PROB = 0.15;
/** For each task and start the better of 3e-4 and 1e-3. */
const TUNING_RATES = { sst2: { scratch: 1e-3, pretrained: 3e-4 }, cola: { scratch: 3e-4, pretrained: 3e-4 } };
const FINE_TUNING = { dropout: 0.2, weightDecay: 1e-5, batchSize: 32 };
const n = (numbers: Numbers, name: string): number => numbers[name] as number;

/** mosaicBert — arXiv:2312.17482. */
export const mosaicBert: Reproduction = {
  slug: 'mosaicbert',
  paper: { title: 'MosaicBERT: A Bidirectional Encoder Optimized for Fast Pretraining', arxiv: '2312.17482' },
  claim: 'An encoder with ALiBi, a gated perceptron, no computation of padding and 30 % of the tokens masked reaches a lower loss than BERT in the same time, at every budget; from its checkpoint SST-2 and CoLA are learned better than from scratch.',
  arms: { baseline: 'BERT', technique: 'MosaicBERT' },
  criterion: [
    { says: 'loss of masked tokens at least 0.1 nats below BERT’s in the time of the largest budget', holds: ({ baseline, technique }) => n(technique, 'valLoss') <= n(baseline, 'valLoss') - 0.1 },
    { says: 'and below it at every budget', holds: ({ technique }) => n(technique, 'wins') === 1 },
    { says: 'the share of positions that is computed is that of the text’s tokens, within 0.02', holds: ({ technique }) => Math.abs(n(technique, 'share') - n(technique, 'textShare')) <= 0.02 },
    { says: 'and a step without padding saves at least half of the rest of the time', holds: ({ technique }) => n(technique, 'msPerStep') / n(technique, 'msPadded') <= 1 - (1 - n(technique, 'textShare')) / 2 },
    { says: 'SST-2: accuracy at least 0.01 above that from scratch', holds: ({ baseline, technique }) => n(technique, 'sst2') >= n(baseline, 'sst2') + 0.01 },
    { says: 'CoLA: Matthews correlation at least 0.02 above that from scratch', holds: ({ baseline, technique }) => n(technique, 'cola') >= n(baseline, 'cola') + 0.02 },
  ],
  quickCriterion: [
    { says: 'loss of masked tokens below BERT’s in the same time', holds: ({ baseline, technique }) => n(technique, 'valLoss') < n(baseline, 'valLoss') },
    { says: 'the share of positions that is computed is that of the text’s tokens, within 0.02', holds: ({ technique }) => Math.abs(n(technique, 'share') - n(technique, 'textShare')) <= 0.02 },
  ],
  meanings: {
    valLoss: 'loss of masked tokens (nats) after the largest budget; 15 % masked, the same ones for both', wins: 'share of the budgets at which it is the lower one', steps: 'steps that the largest budget buys',
    msPerStep: 'milliseconds of processor time per step, median', msPadded: 'milliseconds of processor time per step with padding', share: 'share of a batch’s positions that is computed', textShare: 'share of the positions of all text that is no padding',
    sst2: 'SST-2: accuracy; baseline: the same encoder from scratch', cola: 'CoLA: Matthews correlation; baseline: the same encoder from scratch',
  },
  notes: [
    'Time is processor time, which a busy machine disturbs less than the clock: that of a step is measured before training, in turns of four steps for each arm, and what is equal is the number of steps times its median. The number of steps of MosaicBERT, and thus its loss, differs a little from run to run.',
    'A sample is a line of WikiText-2, long ones in pieces of 64 tokens, or a training sentence of SST-2 or CoLA without its label; BERT pads it to 64. BERT, too, computes its last block and its head for masked tokens alone, which its own code does not. Both have as many parameters but for the positions, and each the best of three learning rates.',
    'At width 64 some of a step’s time hangs on other things than positions: the head, which scores masked tokens alone, and the optimizer. So without padding a step is not quite as much shorter as the share of padding is large.',
    `The tasks need a wider encoder and more pre-training than the budgets: width ${TUNED.dim}, ${TUNED.steps} steps, the tasks’ sentences ${TUNED.repeats} times as often as the rest. In CoLA the sentences that are not acceptable are repeated until there are as many as of the others; else a model of this size says the larger class always. Fine-tuning takes ${TUNED.fineTuneSteps} steps, from scratch and from the checkpoint each at the better of two learning rates.`,
    'With seed 101 no gain was found after 600 to 4000 steps of pre-training, from WikiText-2 alone, with 400 steps of fine-tuning, or from 200 or 500 labelled sentences in place of all: text this small (0.7 million tokens) teaches little more than the labels do, and of grammar, which CoLA asks for, nothing that shows.',
  ],
  measure,
};

type Sizes = ReturnType<typeof sizesOf>;
type Corpus = { readonly tokenizer: Tokenizer; readonly train: readonly Int32Array[]; readonly val: readonly Int32Array[] };
/** `length`: that to which sequences are padded; without it they are not. `ms`: median time of a step. */
type Arm = { readonly name: string; readonly encoder: Bert; readonly prob: number; readonly learningRate: number; readonly length?: number };
type Run = { readonly steps: number; readonly seconds: number; readonly loss: number; readonly share: number };
type Task = { readonly name: string; readonly title: string; readonly metric: string; readonly scratch: FineTuned; readonly pretrained: FineTuned };

async function measure(lab: Lab, seed: number): Promise<Measurement> {
  const sizes = sizesOf(lab.quick);
  const corpus = await corpusOf(lab, sizes);
  const [base, ours] = armsOf(sizes, corpus.tokenizer);
  const [baseMs, oursMs, paddedMs] = await timesOf(lab, sizes, corpus, [base, ours, { ...ours, length: sizes.contextLength }], seed) as [number, number, number];
  const [baseRuns, ourRuns]: [Run[], Run[]] = [[], []];
  for (const steps of sizes.budgets) {
    const run = (arm: Arm, ms: number): Promise<Run> => runOf(lab, sizes, corpus, arm, { steps: Math.max(1, Math.round((steps * baseMs) / ms)), ms, seed });
    baseRuns.push(await run(base, baseMs));
    ourRuns.push(await run(ours, oursMs));
  }
  const tasks = lab.quick ? [] : await tasksOf(lab, { ...sizes, ...TUNED }, seed);
  const [{ loss, steps }, ourLast] = [baseRuns.at(-1), ourRuns.at(-1)] as [Run, Run];
  const scores = (start: 'scratch' | 'pretrained'): Numbers => Object.fromEntries(tasks.map((task) => [task.name, task[start].score]));
  return {
    baseline: { valLoss: loss, steps, msPerStep: baseMs, ...scores('scratch') },
    technique: {
      valLoss: ourLast.loss, steps: ourLast.steps, msPerStep: oursMs, wins: meanOf(ourRuns.map((run, i) => Number(run.loss < (baseRuns[i] as Run).loss))), msPadded: paddedMs,
      share: ourLast.share, textShare: meanOf(corpus.train.map(({ length }) => length)) / sizes.contextLength, ...scores('pretrained'),
    },
    charts: [paretoChart(baseRuns, ourRuns), ...tasks.map(taskChart)],
  };
}

/** To learn from: WikiText-2's validation part, most of its test part, and the sentences of the tasks without their labels. To compare on: the end of the test part. */
async function corpusOf(lab: Lab, { vocabSize, contextLength, valCount, repeats = 1 }: Pick<Sizes, 'vocabSize' | 'contextLength' | 'valCount'> & { readonly repeats?: number }): Promise<Corpus> {
  const [first, second] = [wikiLines(await lab.text('wikitext-2-valid')), wikiLines(await lab.text('wikitext-2-test'))];
  const cut = Math.floor(0.85 * second.length);
  const lines = [...first, ...second.slice(0, cut)];
  const sentences = lab.quick ? [] : [...await sentencesOf(lab, 'sst2-train', SST2), ...await sentencesOf(lab, 'cola-train', COLA)].map(({ sentence }) => sentence);
  const tokenizer = trainWordPiece([...lines, ...sentences].map((line) => line.replaceAll('[UNK]', ' ')), { vocabSize });
  const ofTasks = sequencesOf(tokenizer, sentences, contextLength);
  return { tokenizer, train: [...sequencesOf(tokenizer, lines, contextLength), ...Array.from({ length: repeats }, () => ofTasks).flat()], val: sequencesOf(tokenizer, second.slice(cut), contextLength).slice(0, valCount) };
}

/** Which columns of a task's file hold the sentence and its label. */
type Columns = { readonly sentence: number; readonly label: number };
const SST2: Columns = { sentence: 0, label: 1 };
const COLA: Columns = { sentence: 3, label: 1 };

async function sentencesOf(lab: Lab, name: string, columns: Columns): Promise<{ readonly sentence: string; readonly label: number }[]> {
  const rows = new TextDecoder().decode(await lab.bytes(name)).split('\n').filter((line) => line !== '').map((line) => line.split('\t'));
  return rows.map((row) => ({ sentence: row[columns.sentence] as string, label: Number(row[columns.label]) }));
}

/** Lines with text; `@.@` and `@-@` are what tokens of WikiText make of a point and a hyphen within a word. */
const wikiLines = (text: string): string[] => text.split('\n').map((line) => line.trim().replaceAll('<unk>', '[UNK]').replace(/ @(.)@ /g, '$1')).filter((line) => line !== '');

function armsOf(sizes: Sizes, tokenizer: Tokenizer): [Arm, Arm] {
  const { depth, dim, numHeads, contextLength } = sizes;
  return [
    { name: 'BERT', encoder: bert({ vocabSize: tokenizer.vocabSize, depth, dim, numHeads, contextLength }), prob: PROB.baseline, learningRate: RATES.baseline, length: contextLength },
    { name: 'MosaicBERT', encoder: ourEncoder(sizes, tokenizer), prob: PROB.technique, learningRate: RATES.technique },
  ];
}

/** MosaicBERT with as many parameters per block as BERT. */
const ourEncoder = ({ depth, dim, numHeads, contextLength }: Sizes, { vocabSize }: Tokenizer, dropout = 0): Bert =>
  mosaic({ vocabSize, depth, dim, numHeads, contextLength, hiddenDim: Math.round((8 / 3) * dim), dropout });

/** The median processor time of a step of each arm, in milliseconds, measured in turns. */
async function timesOf(lab: Lab, { turns, batchSize }: Sizes, { tokenizer, train }: Corpus, arms: readonly Arm[], seed: number): Promise<number[]> {
  lab.say('time per step');
  const all = arms.map((): number[] => []);
  for (let turn = 0; turn <= turns; turn++) {
    for (const [i, { name: _, ...arm }] of arms.entries()) {
      const { params, msPerStep } = await pretrain({ ...arm, tokenizer, sequences: train, batchSize, steps: 4, seed: seed + turn });
      if (turn > 0) (all[i] as number[]).push(...msPerStep.slice(1)); // before: compiling
      dispose(params as TensorContainer);
    }
  }
  return all.map((times) => times.toSorted((a, b) => a - b)[times.length >> 1] as number);
}

async function runOf(
  lab: Lab, { batchSize, contextLength }: Sizes, { tokenizer, train, val }: Corpus, { name, ...arm }: Arm,
  { steps, ms, seed }: { readonly steps: number; readonly ms: number; readonly seed: number },
): Promise<Run> {
  lab.say(`${name}: ${steps} steps`);
  const { params, positions } = await pretrain({ ...arm, tokenizer, sequences: train, batchSize, steps, seed });
  try {
    const loss = await maskedLoss(arm.encoder, params, val, { tokenizer, prob: VAL_PROB, length: contextLength, seed: 0 });
    return { steps, seconds: (steps * ms) / 1000, loss, share: meanOf(positions) / (batchSize * contextLength) };
  } finally {
    dispose(params as TensorContainer);
  }
}

/** SST-2 and CoLA, from a checkpoint and from scratch. */
async function tasksOf(lab: Lab, sizes: Sizes & typeof TUNED, seed: number): Promise<Task[]> {
  const { batchSize, steps, learningRate } = sizes;
  const { tokenizer, train } = await corpusOf(lab, sizes);
  lab.say(`pre-training for the tasks: ${steps} steps`);
  const { params: from } = await pretrain({ encoder: ourEncoder(sizes, tokenizer), prob: PROB.technique, tokenizer, sequences: train, batchSize, steps, learningRate, seed });
  try {
    return await tunedFrom(lab, sizes, { tokenizer, from, seed });
  } finally {
    dispose(from as TensorContainer);
  }
}

async function tunedFrom(lab: Lab, sizes: Sizes & typeof TUNED, { tokenizer, from, seed }: { readonly tokenizer: Tokenizer; readonly from: BertLeaves; readonly seed: number }): Promise<Task[]> {
  const { contextLength, fineTuneSteps: steps } = sizes;
  const { dropout, ...recipe } = FINE_TUNING;
  const encoder = ourEncoder(sizes, tokenizer, dropout);
  const read = async (name: string, columns: Columns) => (await sentencesOf(lab, name, columns)).map(({ sentence, label }) => ({ ids: sequenceOf(tokenizer, sentence, contextLength), label }));
  const task = async (about: Pick<Task, 'name' | 'title' | 'metric'> & { readonly name: keyof typeof TUNING_RATES }, metric: typeof accuracy, columns: Columns): Promise<Task> => {
    const [examples, test] = [balanced(await read(`${about.name}-train`, columns)), await read(`${about.name}-dev`, columns)];
    const tuned = (start: { readonly from?: BertLeaves; readonly learningRate: number }): Promise<FineTuned> => {
      lab.say(`${about.title}, ${start.from === undefined ? 'from scratch' : 'from the checkpoint'}: ${steps} steps`);
      return fineTuneClasses({ ...recipe, ...start, encoder, examples, test, metric, evaluations: 4, steps, seed });
    };
    return { ...about, scratch: await tuned({ learningRate: TUNING_RATES[about.name].scratch }), pretrained: await tuned({ from, learningRate: TUNING_RATES[about.name].pretrained }) };
  };
  return [
    await task({ name: 'sst2', title: 'SST-2', metric: 'accuracy' }, accuracy, SST2),
    await task({ name: 'cola', title: 'CoLA', metric: 'Matthews correlation' }, matthews, COLA),
  ];
}

/** The examples with those of the rarer class repeated until there are as many of one as of the other. */
function balanced<T extends { readonly label: number }>(examples: readonly T[]): T[] {
  const ofLabel = [0, 1].map((label) => examples.filter((example) => example.label === label));
  const most = Math.max(...ofLabel.map(({ length }) => length));
  return ofLabel.flatMap((own) => Array.from({ length: most }, (_, i) => own[i % own.length] as T));
}

const paretoChart = (base: readonly Run[], ours: readonly Run[]): Chart => ({
  title: 'Loss of masked tokens against training time, one run for each budget', x: { label: 'training time', unit: 's', fromZero: true }, y: { label: 'loss', unit: 'nats' },
  series: ([['BERT', base], ['MosaicBERT', ours]] as const).map(([name, runs]) => ({ name, style: 'dots', points: runs.map(({ seconds, loss }) => [seconds, loss] as const) })),
});

const taskChart = ({ title, metric, scratch, pretrained }: Task): Chart => ({
  title: `${title} along fine-tuning`, x: { label: 'step' }, y: { label: metric },
  series: [{ name: 'from scratch', style: 'dots', points: scratch.scores }, { name: 'from the checkpoint', style: 'dots', points: pretrained.scores }],
});

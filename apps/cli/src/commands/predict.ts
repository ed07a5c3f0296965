import { dispose } from '@tensorflow/tfjs-core';
import { ConfigError } from '@evenkeel/core-tensor';
import { readSquad, type LabelledText, type SquadExample } from '@evenkeel/data';
import { announceDevice, openDevice, type DeviceName } from '../devices.ts';
import { UsageError } from '../errors.ts';
import { flagOf } from '../flags.ts';
import { counted, printable, wrap } from '../format.ts';
import { MEASURE_NAMES, inWords } from '../finetune/measures.ts';
import { withoutEmpty } from '../finetune/questions.ts';
import { columnsOf, firstRowNotes, readTexts } from '../finetune/textExamples.ts';
import type { Io } from '../output.ts';
import { findModel, openPredictor, type Predictor } from '../predict/openPredictor.ts';
import { encoderOf, predictAnswers, predictTexts } from '../predict/predictTexts.ts';
import { predictImages } from '../predict/predictImages.ts';
import type { Likely, Predicted, Prediction } from '../predict/prediction.ts';
import { answerScoreOf, numberScoreOf, scoreOf } from '../predict/scoreOf.ts';
import { readTagged, tagSentences } from '../predict/tagTexts.ts';
import { checkOut, writePredictions } from '../predict/writePredictions.ts';

export type PredictOptions = {
  readonly checkpoint: string;
  readonly text?: readonly string[];
  readonly textPair?: string;
  readonly question?: string;
  readonly context?: string;
  readonly image?: readonly string[];
  readonly data?: string;
  readonly textColumn?: string;
  readonly textPairColumn?: string;
  readonly labelColumn?: string;
  readonly out?: string;
  readonly top: number;
  readonly batchSize: number;
  readonly device: DeviceName;
};

export type PredictResult = {
  readonly command: 'predict';
  readonly device: string;
  readonly count: number;
  /** Texts that were too long, and lost their ends. */
  readonly cut: number;
  /** Beside the labels of a file that has them. */
  readonly accuracy?: number;
  readonly f1?: number;
  readonly matthews?: number;
  readonly exactMatch?: number;
  readonly spearman?: number;
  readonly pearson?: number;
  /** What was said of each input; absent where it stands in a file. */
  readonly predictions?: readonly Prediction[];
  readonly out?: string;
};

/** predict — what a trained model says of texts, questions or images. */
export async function predict(options: PredictOptions, io: Io): Promise<PredictResult> {
  const found = await findModel(options.checkpoint);
  checkInputs(options, found.reads);
  if (options.out !== undefined) checkOut(options.out);
  const device = await openDevice(options.device);
  const predictor = await openPredictor(options.checkpoint, found);
  try {
    const { predictions, cut, notes, score } = await predictionsOf(predictor, options);
    announceDevice(device, options.device, io.note);
    if (cut > 0) io.note(`${counted(cut, 'text')} longer than the model's positions cut at the end`);
    for (const note of notes) io.note(note);
    if (score !== undefined) io.note(Object.entries(score).map(([name, value]) => `${MEASURE_NAMES[name] ?? name} ${inWords(name, value)}`).join(', '));
    const told = { command: 'predict', device: device.name, count: predictions.length, cut, ...score } as const;
    if (options.out !== undefined) {
      await writePredictions(options.out, predictions);
      io.line(`${counted(predictions.length, 'prediction')}  ${options.out}`);
      return { ...told, out: options.out };
    }
    for (const each of predictions) for (const line of inLines(each, predictions.length === 1)) io.line(line);
    return { ...told, predictions };
  } finally {
    dispose(predictor.params as never);
  }
}

const FLAGS = ['text', 'question', 'image', 'data'] as const;

/** That one input is given, and that it is one that the model reads. */
function checkInputs(options: PredictOptions, reads: Predictor['reads']): void {
  const given = FLAGS.filter((name) => options[name] !== undefined);
  const wanted = reads === 'image' ? ['image', 'data'] : ['text', 'question', 'data'];
  const list = wanted.map(flagOf).join(', ');
  if (given.length !== 1) throw new UsageError(`predict needs one of ${list} for a model that reads ${reads}s, got ${given.map(flagOf).join(' and ') || 'none'}`);
  if (!wanted.includes(given[0] as string)) throw new UsageError(`predict needs one of ${list} for a model that reads ${reads}s, got ${flagOf(given[0] as string)}`);
  if ((options.question === undefined) !== (options.context === undefined)) throw new UsageError(`--question and --context must be given together, got ${options.question === undefined ? '--context' : '--question'} alone`);
}

async function predictionsOf(predictor: Predictor, options: PredictOptions): Promise<Predicted> {
  const { batchSize, top, data, question, context } = options;
  if (predictor.reads === 'image') return predictImages(predictor, options);
  if (predictor.kind === 'span') {
    if (data === undefined && question === undefined) throw new UsageError('predict needs --question and --context, or --data in the format of SQuAD, for a model that answers questions, got --text');
    const { questions, notes } = data === undefined ? { questions: [{ id: '', question: question as string, context: context as string, answers: [] }], notes: [] } : await questionsIn(data);
    const { asked, empty, notes: ofEmpty } = withoutEmpty(questions, predictor.tokenizer, data ?? 'the command line');
    if (data === undefined && empty.length > 0) throw new UsageError(`--question and --context must have words, got ${JSON.stringify(question?.slice(0, 60))} and ${JSON.stringify(context?.slice(0, 60))}`);
    const found = await predictAnswers(predictor, asked, batchSize);
    const predictions = questions.map((each) => (empty.includes(each) ? { input: each.question, label: '', id: each.id } : found.shift() as Prediction));
    const { notes: ofScore, score } = answerScoreOf(predictions, questions.map(({ answers }) => answers.map(({ text }) => text)));
    return { predictions, cut: 0, notes: [...notes, ...ofEmpty.map((note) => note.replace('left out', 'answered by nothing')), ...ofScore], ...(score && { score }) };
  }
  if (question !== undefined) throw new UsageError(`--question must be asked of a model that answers questions, got one for ${predictor.kind === 'maskedLm' ? 'masked tokens' : predictor.kind === 'regression' ? 'a number' : 'classes'} in ${options.checkpoint}`);
  const tagged = data !== undefined && predictor.kind === 'tokenClassification' ? await readTagged(data, predictor.classes ?? []) : undefined;
  if (tagged !== undefined) return tagSentences(predictor, encoderOf(predictor), tagged, batchSize);
  const texts = await textsOf(options);
  const found = await predictTexts(predictor, { texts, batchSize, top });
  if (data === undefined) return found;
  const labels = texts.map(({ label }) => label);
  const { notes, score } = predictor.kind === 'classification' ? scoreOf(found.predictions, labels, predictor.classes ?? [])
    : predictor.kind === 'regression' ? numberScoreOf(found.predictions, labels) : { notes: [] };
  return { ...found, notes: [...firstRowNotes(data, texts), ...found.notes, ...notes], ...(score && { score }) };
}

/** The questions of a file, with their answers where all have a list of them that stand where it says. */
async function questionsIn(path: string): Promise<{ questions: readonly Pick<SquadExample, 'id' | 'question' | 'context' | 'answers'>[]; notes: string[] }> {
  try {
    return { questions: await readSquad(path), notes: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const questions = await readSquad(path, { unlabelled: true });
    return { questions, notes: error.message.includes('must have answers') ? [] : [`nothing measured: ${error.message}`] };
  }
}

async function textsOf({ text = [], textPair: pair, data, textColumn, textPairColumn, labelColumn }: PredictOptions): Promise<readonly LabelledText[]> {
  if (data !== undefined) return readTexts(data, { unlabelled: true, ...columnsOf({ textColumn: textColumn ?? null, textPairColumn: textPairColumn ?? null, labelColumn: labelColumn ?? null }) });
  if (pair !== undefined && text.length !== 1) throw new UsageError(`--text-pair must stand beside one --text, got ${text.length}`);
  return text.map((each, i) => ({ text: each, line: i + 1, ...(pair !== undefined && { pair }) }));
}

const percent = (probability: number): string => `${(100 * probability).toFixed(1)} %`.padStart(7);

/** A prediction for people: all that is likely where it is the only one, otherwise one line. */
function inLines({ input, label, probability, top, masks, words }: Prediction, isAlone: boolean): string[] {
  if (!isAlone || (top === undefined && masks === undefined && words === undefined)) {
    const share = probability === undefined ? '' : `${percent(probability)}  `;
    return isAlone ? [printable(label)] : [`${share}${printable(label)}  ${printable(input).replace(/\s+/g, ' ').slice(0, 100)}`];
  }
  if (words !== undefined) return wrap('', words.map(([word, tag]) => (tag === 'O' ? word : `${word}/${tag}`)).join(' '));
  const rows = (likely: readonly Likely[]): string[] => likely.map((each) => `${percent(each.probability)}  ${printable(each.label)}`);
  return masks === undefined ? rows(top ?? []) : masks.flatMap((each, i) => (masks.length === 1 ? rows(each) : [`mask ${i + 1}`, ...rows(each)]));
}

import { dispose, type Tensor } from '@tensorflow/tfjs-core';
import type { LabelledText, SquadExample } from '@evenkeel/data';
import { answerQuestions, bertInputs, padBatch } from '@evenkeel/models-bert';
import { encodeTexts, LONGEST, unknownNotes, type Encoder } from '../bert/encoding.ts';
import { checkFinite, softmax } from '../classified.ts';
import { UsageError } from '../errors.ts';
import { windowsOf } from '../finetune/questions.ts';
import { classifyTexts, scoreTexts } from '../finetune/textClasses.ts';
import type { Predictor } from './openPredictor.ts';
import { likeliest, ofClasses, type Predicted, type Prediction } from './prediction.ts';
import { tagTexts } from './tagTexts.ts';

export type TextPredictor = Extract<Predictor, { reads: 'text' }>;

/** Rows — texts that a model is asked about. */
export type Rows = { readonly texts: readonly LabelledText[]; readonly batchSize: number; readonly top: number };

/** encoderOf — how texts become sequences of a model. */
export function encoderOf({ model: { config }, tokenizer, specials }: TextPredictor): Encoder {
  return { tokenizer, specials, maxLength: config.positions === 'learned' ? config.contextLength : LONGEST, hasSegments: config.typeVocabSize > 1 };
}

/** predictTexts — classes of texts or numbers for them, tags of their words, or what is masked in them. */
export async function predictTexts(predictor: TextPredictor, { texts, batchSize, top }: Rows): Promise<Predicted> {
  const { kind, model, params, specials: { padId }, classes = [] } = predictor;
  const encoder = encoderOf(predictor);
  const inputs = texts.map(({ text, pair }) => (pair === undefined ? text : `${text} — ${pair}`));
  if (kind === 'tokenClassification') return tagTexts(predictor, encoder, texts.map(({ text }) => text), batchSize);
  const { sequences, cut } = encodeTexts(texts, encoder);
  const notes = unknownNotes(sequences, encoder);
  if (kind === 'classification') return { predictions: ofClasses(await classifyTexts({ model, params, padId }, sequences, batchSize), inputs, classes, top), cut: cut.length, notes };
  if (kind === 'regression') {
    const scores = await scoreTexts({ model, params, padId }, sequences, batchSize);
    return { predictions: inputs.map((input, i) => ({ input, label: (scores[i] as number).toFixed(4), value: scores[i] as number })), cut: cut.length, notes };
  }
  const predictions: Prediction[] = [];
  for (const [i, { ids }] of sequences.entries()) predictions.push(await fill(predictor, { ids: Int32Array.from(ids), input: inputs[i] as string }, top));
  return { predictions, cut: cut.length, notes };
}

/** The likeliest tokens at each mask of a sequence. */
async function fill({ model, params, specials: { padId, maskId }, tokenizer }: TextPredictor, { ids, input }: { ids: Int32Array; input: string }, top: number): Promise<Prediction> {
  const places = [...ids.keys()].filter((i) => ids[i] === maskId);
  if (places.length === 0) throw new UsageError(`--text must hold ${tokenizer.tokenToId('[MASK]') === maskId ? '[MASK]' : '<mask>'} for a model of masked tokens, got ${JSON.stringify(input.slice(0, 60))}`);
  const { tokenTypes: _, ...inputs } = bertInputs(padBatch([{ ids }], { padId }));
  const logits = model.apply(inputs, params) as Tensor;
  const [values, size] = [await logits.data(), logits.shape.at(-1) as number];
  dispose([logits, inputs] as never);
  checkFinite(values);
  const nameOf = (id: number): string => (id < tokenizer.vocabSize ? tokenizer.decode([id]).trim() : `#${id}`);
  const masks = places.map((place) => likeliest(softmax(values.subarray(place * size, (place + 1) * size)), nameOf, top));
  return { input, label: masks.map(([first]) => first?.label ?? '').join(' '), probability: masks.reduce((product, [first]) => product * (first?.probability ?? 0), 1), masks };
}

/** predictAnswers — the answers to questions about contexts. */
export async function predictAnswers(predictor: TextPredictor, questions: readonly Pick<SquadExample, 'id' | 'question' | 'context'>[], batchSize: number): Promise<Prediction[]> {
  const { model, params } = predictor;
  const answers = await answerQuestions(model as never, params, questions, { ...windowsOf(encoderOf(predictor)), padId: predictor.specials.padId, batchSize });
  checkFinite(answers.map(({ score }) => score));
  return answers.map(({ text, start }, i) => ({ input: questions[i]?.question ?? '', label: text, start, ...(questions[i]?.id !== '' && { id: questions[i]?.id as string }) }));
}

import { dispose, tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { checkInteger } from '@evenkeel/core-tensor';
import { answerWindows, bestAnswer, type AnswerWindow, type AnswerWindowOptions, type Question } from './answerWindows.ts';
import type { BertWithHead, HeadedParams } from './bertWithHead.ts';
import type { SpanBatch } from './classificationHeads.ts';
import { withInputs } from './labelledBatch.ts';
import { bertInputs, padBatch } from './padBatch.ts';

/** spanBatch — windows as a padded batch of tensors, which are the caller's, for a model with `spanHead`. */
export function spanBatch(windows: readonly AnswerWindow[], options: { padId?: number } = {}): SpanBatch {
  const inputs = bertInputs(padBatch(windows, options));
  return { ...inputs, starts: tensor1d(windows.map(({ start }) => start), 'int32'), ends: tensor1d(windows.map(({ end }) => end), 'int32') };
}

export type AnswerQuestionsOptions = AnswerWindowOptions & {
  /** Windows that are computed at once; default 32. */
  batchSize?: number;
  padId?: number;
  /** Tokens of an answer; default 30. */
  maxAnswerLength?: number;
};

/** answerQuestions — the best answer to each question that a model with `spanHead` finds in its context. Borrows everything. */
export async function answerQuestions(
  model: Pick<BertWithHead<{ starts: Tensor; ends: Tensor }, SpanBatch>, 'apply'>, params: HeadedParams, questions: readonly Question[], options: AnswerQuestionsOptions,
): Promise<ReturnType<typeof bestAnswer>[]> {
  const { batchSize = 32, padId, maxAnswerLength } = options;
  checkInteger('answerQuestions', 'batchSize', batchSize);
  const windows = questions.map(({ question, context }) => answerWindows({ question, context }, options));
  const all = windows.flat();
  const logits: { starts: Float32Array; ends: Float32Array }[] = [];
  for (let first = 0; first < all.length; first += batchSize) {
    const { starts, ends } = withInputs(all.slice(first, first + batchSize), padId, (inputs) => model.apply(inputs, params));
    const [rows, length] = starts.shape as [number, number];
    const [startValues, endValues] = [await starts.data() as Float32Array, await ends.data() as Float32Array];
    for (let row = 0; row < rows; row++) logits.push({ starts: startValues.subarray(row * length, (row + 1) * length), ends: endValues.subarray(row * length, (row + 1) * length) });
    dispose([starts, ends]);
  }
  let next = 0;
  return questions.map(({ context }, i) => {
    const own = windows[i] as AnswerWindow[];
    return bestAnswer(context, own, logits.slice(next, next += own.length), { ...(maxAnswerLength !== undefined && { maxLength: maxAnswerLength }) });
  });
}

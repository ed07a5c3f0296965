import type { AnswerWindowOptions } from '@evenkeel/models-bert';
import type { Encoder } from '../bert/encoding.ts';
import { UsageError } from '../errors.ts';

/** As in BERT's own recipe for SQuAD: tokens of a window, by which each begins behind the one before, and of a question. */
const [WINDOW, STRIDE, QUESTION] = [384, 128, 64] as const;

/** windowsOf — how contexts are cut into windows for a model: in shorter ones where it has fewer positions. */
export function windowsOf({ tokenizer, specials, maxLength: longest }: Encoder): AnswerWindowOptions {
  const maxLength = Math.min(WINDOW, longest);
  const maxQuestionLength = Math.min(QUESTION, Math.floor(maxLength / 4));
  const room = maxLength - maxQuestionLength - 3;
  if (room < 8) throw new UsageError(`--checkpoint must have positions for a question and its context, got ${longest}`);
  return { ...specials, encode: (text) => tokenizer.encode(text), maxLength, maxQuestionLength, stride: Math.min(STRIDE, Math.ceil(room / 2)) };
}

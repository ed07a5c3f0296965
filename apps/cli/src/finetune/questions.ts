import type { SquadExample, Tokenizer } from '@evenkeel/data';
import type { AnswerWindowOptions } from '@evenkeel/models-bert';
import type { Encoder } from '../bert/encoding.ts';
import { UsageError } from '../errors.ts';
import { counted } from '../format.ts';

/** As in BERT's own recipe for SQuAD: tokens of a window, by which each begins behind the one before, and of a question. */
const [WINDOW, STRIDE, QUESTION] = [384, 128, 64] as const;

/** withoutEmpty — `asked`: the questions of which neither the question nor the context is without tokens; `empty`: the others; `notes`: how many, and the first one. */
export function withoutEmpty<Q extends Pick<SquadExample, 'id' | 'question' | 'context'>>(questions: readonly Q[], tokenizer: Pick<Tokenizer, 'encode'>, path: string): { readonly asked: Q[]; readonly empty: Q[]; readonly notes: string[] } {
  const hasTokens = new Map<string, boolean>(); // many questions have one context
  const isFull = (text: string): boolean => hasTokens.get(text) ?? (hasTokens.set(text, tokenizer.encode(text).length > 0), hasTokens.get(text) as boolean);
  const isAsked = ({ question, context }: Q): boolean => isFull(question) && isFull(context);
  const empty = questions.filter((each) => !isAsked(each));
  const notes = empty.length === 0 ? [] : [`${counted(empty.length, 'question')} without words, or with a context without any, left out, the first with the id ${JSON.stringify(empty[0]?.id)} in ${path}`];
  return { asked: questions.filter(isAsked), empty, notes };
}

/** windowsOf — how contexts are cut into windows for a model: in shorter ones where it has fewer positions. */
export function windowsOf({ tokenizer, specials, maxLength: longest }: Encoder): AnswerWindowOptions {
  const maxLength = Math.min(WINDOW, longest);
  const maxQuestionLength = Math.min(QUESTION, Math.floor(maxLength / 4));
  const room = maxLength - maxQuestionLength - 3;
  if (room < 8) throw new UsageError(`--checkpoint must have positions for a question and its context, got ${longest}`);
  return { ...specials, encode: (text) => tokenizer.encode(text), maxLength, maxQuestionLength, stride: Math.min(STRIDE, Math.ceil(room / 2)) };
}

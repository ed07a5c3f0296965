import { checkInteger, ConfigError } from '@evenkeel/core-tensor';
import { bestSpan } from './bestSpan.ts';
import { IGNORED } from './maskTokens.ts';
import { joinPair, type SentenceSpecials } from './nextSentencePairs.ts';
import type { TokenSequence } from './padBatch.ts';
import { splitWords } from './splitWords.ts';

/** Question — what is asked of which text. */
export type Question = {
  readonly question: string;
  readonly context: string;
  /** What is to be learned: a part of `context`, and where in it it begins, in UTF-16 code units. */
  readonly answer?: { readonly text: string; readonly start: number };
};

/** AnswerWindow — `[CLS] question [SEP] part of the context [SEP]`, and where its tokens stand in the context. */
export type AnswerWindow = TokenSequence & {
  readonly ids: Int32Array;
  readonly tokenTypes: Int32Array;
  /** The tokens of the context: from `from` up to but not including `to`. */
  readonly from: number;
  readonly to: number;
  /** Of each of these tokens, from where to where in the context its word stands. */
  readonly words: readonly (readonly [start: number, end: number])[];
  /** First and last token of the answer; −100 if the window does not hold all of it. */
  readonly start: number;
  readonly end: number;
};

export type AnswerWindowOptions = SentenceSpecials & {
  /** Tokens of a text, without special ones. */
  encode: (text: string) => ArrayLike<number>;
  /** Tokens of a window; default 384. */
  maxLength?: number;
  /** Tokens of the context by which each window begins behind the one before; default 128. */
  stride?: number;
  /** Tokens of the question, the rest is cut off; default 64. */
  maxQuestionLength?: number;
};

/**
 * answerWindows — a question and its context as sequences for `spanHead`: as many windows over the context as it needs.
 *
 * The context is cut into words before it is encoded, so that answers begin and end with words, whatever the tokenizer.
 *
 * @throws ConfigError  if a window has no room for the question and `stride` tokens, or the context has no tokens.
 *
 * Source: Devlin et al. 2018, arXiv:1810.04805, §4.2, and its published code.
 */
export function answerWindows({ question, context, answer }: Question, options: AnswerWindowOptions): AnswerWindow[] {
  const { encode, maxLength = 384, stride = 128, maxQuestionLength = 64, clsId, sepId } = options;
  for (const [name, value] of Object.entries({ maxLength, stride, maxQuestionLength })) checkInteger('answerWindows', name, value);
  const asked = Array.from(encode(question)).slice(0, maxQuestionLength);
  const { ids, words } = tokensOf(context, encode);
  const room = maxLength - asked.length - 3;
  if (room < stride) throw new ConfigError(`answerWindows: maxLength must leave the stride of ${stride} tokens beside a question of ${asked.length}, got ${maxLength}`);
  if (ids.length === 0) throw new ConfigError('answerWindows: context must have tokens, got none');
  const span = answer && spanOf(words, answer);
  const from = asked.length + 2;
  const windows: AnswerWindow[] = [];
  for (let first = 0; first === 0 || first - stride + room < ids.length; first += stride) {
    const last = Math.min(ids.length, first + room);
    const holds = span !== undefined && span.start >= first && span.end < last;
    windows.push({
      ...joinPair(asked, ids.slice(first, last), { clsId, sepId, maxLength }), from, to: from + last - first, words: words.slice(first, last),
      start: holds ? from + span.start - first : IGNORED, end: holds ? from + span.end - first : IGNORED,
    });
  }
  return windows;
}

/**
 * bestAnswer — the answer that `spanHead`'s logits of all windows of a context say: that with the largest sum of its two logits.
 *
 * @param windows  of one question, as `answerWindows` gives them.
 * @param logits   of each window, as numbers, one per token and perhaps more for padding.
 */
export function bestAnswer(
  context: string, windows: readonly AnswerWindow[], logits: readonly { readonly starts: ArrayLike<number>; readonly ends: ArrayLike<number> }[],
  { maxLength = 30 }: { maxLength?: number } = {},
): { readonly text: string; readonly start: number; readonly score: number } {
  if (windows.length === 0 || logits.length !== windows.length) throw new ConfigError(`bestAnswer: logits must be of at least one window and all ${windows.length}, got ${logits.length}`);
  const answers = windows.map(({ from, to, words }, i) => {
    const { starts, ends } = logits[i] as (typeof logits)[number];
    const { start, end, score } = bestSpan(starts, ends, { from, to, maxLength });
    const [begin, stop] = [(words[start - from] as readonly [number, number])[0], (words[end - from] as readonly [number, number])[1]];
    return { text: context.slice(begin, stop), start: begin, score };
  });
  return answers.reduce((best, answer) => (answer.score > best.score ? answer : best));
}

/** The tokens of a text, and of each the word it belongs to. A word is encoded with the space before it, which some tokenizers keep. */
function tokensOf(context: string, encode: AnswerWindowOptions['encode']): { ids: number[]; words: (readonly [number, number])[] } {
  const ids: number[] = [];
  const words: (readonly [number, number])[] = [];
  let before = 0;
  for (const word of splitWords(context)) {
    for (const id of Array.from(encode(context.slice(before, word[1])))) {
      ids.push(id);
      words.push(word);
    }
    before = word[1];
  }
  return { ids, words };
}

/** The first and last token whose words the answer touches; undefined if it touches none. */
function spanOf(words: readonly (readonly [number, number])[], { text, start }: NonNullable<Question['answer']>): { start: number; end: number } | undefined {
  const touched = ([from, to]: readonly [number, number]): boolean => from < start + text.length && to > start;
  const first = words.findIndex(touched);
  return first < 0 ? undefined : { start: first, end: words.findLastIndex(touched) };
}

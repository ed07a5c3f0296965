import { trainBpe, trainWordPiece } from '@evenkeel/data';
import { answerWindows, bertInputs, bestAnswer, padBatch, unpadBatch, type AnswerWindow } from '@evenkeel/models-bert';
import { dispose, memory, type TensorContainer } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const context = 'The river Nile, which is long, flows north. It ends in a delta.';
const question = 'Where does the Nile flow?';
const answer = { text: 'north', start: context.indexOf('north') };
const tokenizer = trainWordPiece(`${context} ${question}`, { vocabSize: 60 });
const encode = (text: string) => tokenizer.encode(text);
const specials = { clsId: tokenizer.tokenToId('[CLS]')!, sepId: tokenizer.tokenToId('[SEP]')! };

/** Logits that want the answer of a window, with the score 2 · `height`. */
const logitsFor = ({ ids, start, end }: AnswerWindow, height: number) => {
  const at = (token: number) => Float32Array.from({ length: ids.length + 3 }, (_, i) => (i === token || i >= ids.length ? height : 0)); // behind: padding
  return { starts: at(start), ends: at(end) };
};

describe('answerWindows', () => {
  it('is the question and the whole context where they fit, as the tokenizer itself joins them', () => {
    const [window, ...others] = answerWindows({ question, context, answer }, { encode, ...specials });
    expect(others).toEqual([]);
    const { ids, tokenTypes, from, to, words, start, end } = window!;
    expect(Array.from(ids)).toEqual([specials.clsId, ...encode(question), specials.sepId, ...encode(context), specials.sepId]);
    expect(ids[from - 1]).toBe(specials.sepId);
    expect([to, words.length, tokenTypes.length]).toEqual([ids.length - 1, to - from, ids.length]);
    expect(Array.from(tokenTypes.slice(from - 1, from + 1))).toEqual([0, 1]);
    expect(tokenizer.decode(ids.slice(start, end + 1))).toBe('north');
  });

  it('steps over a long context by the stride, sees every token, and the answer where it is whole', () => {
    const windows = answerWindows({ question, context, answer }, { encode, ...specials, maxLength: encode(question).length + 3 + 20, stride: 7 });
    const all = encode(context);
    expect(windows.length).toBe(Math.ceil((all.length - 20) / 7) + 1);
    windows.forEach(({ ids, from, to }, i) => expect(Array.from(ids.slice(from, to))).toEqual(Array.from(all.slice(7 * i, 7 * i + 20))));
    expect(windows.flatMap(({ words }) => words.at(-1)!).at(-1)).toBe(context.length);
    const withAnswer = windows.filter(({ start }) => start >= 0);
    expect(withAnswer.length).toBeGreaterThan(0);
    expect(withAnswer.length).toBeLessThan(windows.length);
    for (const { ids, start, end } of withAnswer) expect(tokenizer.decode(ids.slice(start, end + 1))).toBe('north');
    expect(windows.filter(({ end }) => end < 0).every(({ start, end }) => start === -100 && end === -100)).toBe(true);
  });

  it('gives the text of the best answer of all windows, never one in the question or the padding', () => {
    const windows = answerWindows({ question, context, answer }, { encode, ...specials, maxLength: encode(question).length + 3 + 20, stride: 7 });
    const best = bestAnswer(context, windows, windows.map((window, i) => logitsFor(window, window.start < 0 ? 0 : i)));
    expect(best).toMatchObject({ text: 'north', start: answer.start });
    expect(() => bestAnswer(context, windows, [])).toThrow(`bestAnswer: logits must be of at least one window and all ${windows.length}, got 0`);
  });

  it('takes whole words for an answer that begins or ends within one, and keeps spaces and accents of the context', () => {
    const spaced = 'Il  a  dit :  « déjà  vu »';
    const [window] = answerWindows({ question: 'a', context: spaced, answer: { text: 'éjà  v', start: spaced.indexOf('éjà') } }, { encode, ...specials });
    expect(bestAnswer(spaced, [window!], [logitsFor(window!, 1)]).text).toBe('déjà  vu');
  });

  it('works with a byte-level tokenizer, which keeps the spaces before words', () => {
    const bpe = trainBpe(`${context} ${question}`, { vocabSize: 280 });
    const [window] = answerWindows({ question, context, answer }, { encode: (text) => bpe.encode(text), clsId: 0, sepId: 1 });
    expect(bpe.decode(window!.ids.slice(window!.from, window!.to))).toBe(context);
    expect(bestAnswer(context, [window!], [logitsFor(window!, 1)]).text).toBe('north');
  });

  it('names what leaves no room, and a context without tokens', () => {
    expect(() => answerWindows({ question, context }, { encode, ...specials, maxLength: 20, stride: 20 })).toThrow('answerWindows: maxLength must leave the stride of 20 tokens beside a question of');
    expect(() => answerWindows({ question, context: ' ' }, { encode, ...specials })).toThrow('answerWindows: context must have tokens, got none');
  });
});

describe('padBatch', () => {
  it('pads to the longest sequence or a length, and unpadBatch takes the padding out again', () => {
    const sequences = [{ ids: [2, 7, 3], tokenTypes: [0, 0, 1] }, { ids: Int32Array.of(2, 3) }];
    const batch = padBatch(sequences, { padId: 9 });
    expect(batch).toEqual({ ids: Int32Array.of(2, 7, 3, 2, 3, 9), mask: Int32Array.of(1, 1, 1, 1, 1, 0), tokenTypes: Int32Array.of(0, 0, 1, 0, 0, 0), shape: [2, 3] });
    expect(padBatch(sequences, { length: 5 }).shape).toEqual([2, 5]);
    expect(unpadBatch(batch)).toMatchObject({ ids: Int32Array.of(2, 7, 3, 2, 3), cuSeqlens: [0, 3, 5] });
  });

  it('names a sequence that is too long, and a batch without tokens', () => {
    expect(() => padBatch([{ ids: [1] }, { ids: [1, 2, 3] }], { length: 2 })).toThrow('padBatch: sequences must be at most 2 tokens long, got 3 in sequence 1');
    expect(() => padBatch([{ ids: [] }])).toThrow('padBatch: sequences must hold tokens, got 1 without');
  });

  it('bertInputs makes the tensors that models take, with and without padding', () => {
    const before = memory().numTensors;
    const batch = padBatch([{ ids: [2, 7, 3] }, { ids: [2, 3] }]);
    const [padded, unpadded] = [bertInputs(batch), bertInputs(unpadBatch(batch))];
    expect([padded.ids.shape, padded.mask?.shape, padded.tokenTypes?.dtype, padded.cuSeqlens]).toEqual([[2, 3], [2, 3], 'int32', undefined]);
    expect([unpadded.ids.shape, unpadded.mask, unpadded.tokenTypes?.shape, unpadded.cuSeqlens]).toEqual([[5], undefined, [5], [0, 3, 5]]);
    expect(memory().numTensors).toBe(before + 5);
    dispose([padded, unpadded] as unknown as TensorContainer);
  });
});

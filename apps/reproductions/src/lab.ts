import { tensor2d, type Tensor2D } from '@tensorflow/tfjs-core';
import { foldSeed } from '@evenkeel/core-tensor';
import { charTokenizer, randomBatches, sequentialBatches, splitTokens, type Batch, type Tokens } from '@evenkeel/data';

/** Lab — what a reproduction may use: its data, how much time there is, and somebody to tell how far it is. */
export type Lab = {
  /** Half a minute on two cores instead of minutes. */
  readonly quick: boolean;
  /** The text of a data set by name. */
  text(name: string): Promise<string>;
  /** What is being done now, for a line on the terminal. */
  say(what: string): void;
};

/** TokenBatch — inputs and targets, `b t` each. */
export type TokenBatch = { readonly inputs: Tensor2D; readonly targets: Tensor2D };

/** TextTask — predicting the next character of a text: the last tenth of it is for validation. */
export type TextTask = {
  readonly vocabSize: number;
  readonly train: Tokens;
  readonly val: Tokens;
  /** Random windows of a step: a function of seed and step. The caller's. */
  batches(options: { seed: number; batchSize: number; contextLength: number }): (step: number) => TokenBatch;
  /** Windows spread over the validation part, the same at every call, as arrays. */
  valBatches(options: { batchSize: number; contextLength: number; count: number }): readonly Batch[];
};

/** textTask — characters of a data set. */
export async function textTask(lab: Lab, name = 'tinyshakespeare'): Promise<TextTask> {
  const text = await lab.text(name);
  const tokenizer = charTokenizer([text]);
  const { train, val } = splitTokens(tokenizer.encode(text), 0.1);
  return {
    vocabSize: tokenizer.vocabSize, train, val,
    batches: ({ seed, ...sizes }) => {
      const windows = randomBatches(train, { ...sizes, seed: foldSeed(seed, 'data') as number });
      return (step) => tensorsOf(windows.batch(step));
    },
    valBatches: ({ count, ...sizes }) => {
      const all = sequentialBatches(val, sizes);
      return Array.from({ length: Math.min(count, all.length) }, (_, i) => all.batch(Math.floor((i * all.length) / Math.min(count, all.length))));
    },
  };
}

/** tensorsOf — a batch as tensors, which are the caller's. */
export function tensorsOf({ inputs, targets, shape: [rows, length] }: Batch): TokenBatch {
  return { inputs: tensor2d(inputs, [rows, length], 'int32'), targets: tensor2d(targets, [rows, length], 'int32') };
}

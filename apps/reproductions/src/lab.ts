import { tensor2d, type Tensor2D } from '@tensorflow/tfjs-core';
import { foldSeed } from '@evenkeel/core-tensor';
import { charTokenizer, randomBatches, sequentialBatches, splitTokens, type Batch, type Tokens } from '@evenkeel/data';

/** Lab — what a reproduction may use: its data, how much time there is, and somebody to tell how far it is. */
export type Lab = {
  /** Half a minute on two cores instead of minutes. */
  readonly quick: boolean;
  /** The text of a data set by name. */
  text(name: string): Promise<string>;
  /** The bytes of a data set by name. */
  bytes(name: string): Promise<Uint8Array<ArrayBuffer>>;
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
  /** Random windows of a step: a function of seed and step. */
  arrays(options: { seed: number; batchSize: number; contextLength: number }): (step: number) => Batch;
  /** The same as tensors, which are the caller's. */
  batches(options: { seed: number; batchSize: number; contextLength: number }): (step: number) => TokenBatch;
  /** Windows spread over the validation part, the same at every call, as arrays. */
  valBatches(options: { batchSize: number; contextLength: number; count: number }): readonly Batch[];
};

/** textTask — characters of a data set. */
export async function textTask(lab: Lab, name = 'tinyshakespeare'): Promise<TextTask> {
  const text = await lab.text(name);
  const tokenizer = charTokenizer([text]);
  const { train, val } = splitTokens(tokenizer.encode(text), 0.1);
  const arrays: TextTask['arrays'] = ({ seed, ...sizes }) => randomBatches(train, { ...sizes, seed: foldSeed(seed, 'data') as number }).batch;
  return {
    vocabSize: tokenizer.vocabSize, train, val, arrays,
    batches: (options) => {
      const windows = arrays(options);
      return (step) => tensorsOf(windows(step));
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

/** withFirstToken — the same task with a token of its own, the last of the vocabulary, in the place of each window's first input. */
export function withFirstToken({ vocabSize, valBatches, ...task }: TextTask): TextTask {
  const marked = ({ inputs, targets, shape }: Batch): Batch => ({ inputs: inputs.map((id, i) => (i % shape[1] === 0 ? vocabSize : id)), targets, shape });
  return {
    ...task, vocabSize: vocabSize + 1,
    arrays: (options) => { const arrays = task.arrays(options); return (step) => marked(arrays(step)); },
    batches: (options) => { const arrays = task.arrays(options); return (step) => tensorsOf(marked(arrays(step))); },
    valBatches: (options) => valBatches(options).map(marked),
  };
}

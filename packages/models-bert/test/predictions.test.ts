import { foldSeed, useDevice, type Params, type Tree } from '@evenkeel/core-tensor';
import {
  answerQuestions, answerWindows, bert, bertWithHead, classificationHead, fineTuningOptimizer, labelledBatch, pearson, predictClasses, regressionHead, spanBatch, spanHead, tokenClassificationHead, type HeadedParams,
} from '@evenkeel/models-bert';
import { train } from '@evenkeel/training';
import { dispose, memory, type TensorContainer, type Variable } from '@tensorflow/tfjs-core';
import { wasm } from '@evenkeel/wasm-kernels';
import { beforeAll, expect, it } from 'vitest';

beforeAll(async () => void await useDevice('wasm', [wasm({ threads: 1 })]));

const encoder = bert({ vocabSize: 40, depth: 1, dim: 16, numHeads: 2, contextLength: 16 });
type Leaves = Params & HeadedParams & Tree<Variable>;

it('labelledBatch pads sequences and their classes, and a model learns them well enough for predictClasses to tell them', async () => {
  const before = memory().numTensors;
  const sequences = Array.from({ length: 32 }, (_, i) => ({ ids: [2, ...Array.from({ length: 1 + (i % 5) }, (__, j) => 5 + ((7 * i + j) % 20)), i % 2 === 0 ? 30 : 31, 3], label: i % 2 }));
  const model = bertWithHead(encoder, classificationHead({ numClasses: 2 }));
  const params = model.init({ seed: 1 }) as Leaves;
  await train({
    params, steps: 40, seed: 1, batches: (step) => labelledBatch(sequences.slice(8 * (step % 4), 8 * (step % 4) + 8)),
    loss: (p, batch, call) => model.loss(batch, p, call), optimizer: fineTuningOptimizer(model.specs, { learningRate: 1e-2, weightDecay: 0, steps: 40 }),
  });
  expect(Array.from(await predictClasses(model, params, sequences, { batchSize: 5 }))).toEqual(sequences.map(({ label }) => label));
  dispose(params as TensorContainer);
  expect(memory().numTensors).toBe(before);
});

it('regressionHead learns numbers from float32 labels, and names labels that are classes', async () => {
  const before = memory().numTensors;
  const sequences = Array.from({ length: 32 }, (_, i) => ({ ids: [2, ...Array.from({ length: 3 }, (__, j) => 5 + ((7 * i + j) % 20)), 30 + (i % 4), 3], label: (i % 4) / 2 }));
  const model = bertWithHead(encoder, regressionHead());
  const params = model.init({ seed: 1 }) as Leaves;
  const batchOf = (step: number) => labelledBatch(sequences.slice(8 * (step % 4), 8 * (step % 4) + 8), { dtype: 'float32' });
  await train({
    params, steps: 80, seed: 1, batches: batchOf,
    loss: (p, batch, call) => model.loss(batch, p, call), optimizer: fineTuningOptimizer(model.specs, { learningRate: 1e-2, weightDecay: 0, steps: 80 }),
  });
  const batch = batchOf(0);
  const [said, loss] = [model.apply(batch, params), model.loss(batch, params)];
  const [values, labels, [value]] = [await said.data(), await batch.labels.data(), await loss.data()];
  expect(said.shape).toEqual([8]);
  expect(pearson(values, labels)).toBeGreaterThan(0.95);
  expect(value).toBeCloseTo(Array.from(values).reduce((sum, each, i) => sum + (each - (labels[i] as number)) ** 2, 0) / 8, 6);
  const classes = labelledBatch(sequences.slice(0, 2));
  expect(() => model.loss(classes, params)).toThrow('regressionHead: labels must have dtype float32, got int32');
  dispose([params, batch, classes, said, loss] as unknown as TensorContainer);
  expect(memory().numTensors).toBe(before);
});

it('labelledBatch takes a class per token, −100 in the padding, and names a sequence whose classes do not fit', async () => {
  const before = memory().numTensors;
  const batch = labelledBatch([{ ids: [2, 7, 3], label: [-100, 1, -100] }, { ids: [2, 3], label: [0, 1] }]);
  expect(await batch.labels.array()).toEqual([[-100, 1, -100], [0, 1, -100]]);
  const model = bertWithHead(encoder, tokenClassificationHead({ numClasses: 2 }));
  const params = model.init({ seed: 1 });
  const loss = model.loss(batch, params);
  expect((await loss.data())[0]).toBeLessThan(2);
  dispose([params, batch, loss] as unknown as TensorContainer);
  expect(() => labelledBatch([{ ids: [2, 3], label: [0, 1] }, { ids: [2, 7, 3], label: [0] }])).toThrow('labelledBatch: label must be 3 classes, one per token, in sequence 1, got 1');
  expect(() => labelledBatch([{ ids: [2, 3], label: [0, 1] }, { ids: [2, 3], label: 0 }])).toThrow('in sequence 1, got one for the sequence');
  expect(memory().numTensors).toBe(before);
});

it('answerQuestions finds answers that a model with spanHead has learned, in contexts of several windows', async () => {
  const before = memory().numTensors;
  const vocabulary = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'X', 'Y'];
  const encode = (text: string) => (text.match(/\w/g) ?? []).map((letter) => 5 + vocabulary.indexOf(letter));
  const options = { encode, clsId: 2, sepId: 3, maxLength: 12, stride: 4 };
  const questions = Array.from({ length: 24 }, (_, i) => { // the letter behind the X
    const letters = Array.from({ length: 12 }, (__, j) => vocabulary[foldSeed(i, j) % 8] as string);
    const at = foldSeed(i, 'at') % 11;
    letters[at] = 'X';
    return { question: 'Y', context: letters.join(' '), answer: { text: letters[at + 1] as string, start: 2 * (at + 1) } };
  });
  const windows = questions.flatMap((question) => answerWindows(question, options)).filter(({ start }) => start >= 0);
  expect(windows.length).toBeGreaterThan(questions.length);
  const model = bertWithHead(encoder, spanHead());
  const params = model.init({ seed: 3 }) as Leaves;
  await train({
    params, steps: 400, seed: 1, batches: (step) => spanBatch(Array.from({ length: 16 }, (_, i) => windows[(16 * step + i) % windows.length]!)),
    loss: (p, batch, call) => model.loss(batch, p, call), optimizer: fineTuningOptimizer(model.specs, { learningRate: 1e-2, weightDecay: 0, steps: 400 }),
  });
  const answers = await answerQuestions(model, params, questions, { ...options, batchSize: 7 });
  expect(answers.filter(({ start }, i) => start === questions[i]!.answer.start).length).toBeGreaterThan(questions.length / 2); // windows without the answer were not trained, and one may win
  expect(answers.every(({ text, start }, i) => questions[i]!.context.slice(start, start + text.length) === text)).toBe(true);
  dispose(params as TensorContainer);
  expect(memory().numTensors).toBe(before);
});

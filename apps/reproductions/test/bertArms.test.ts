import { trainWordPiece } from '@evenkeel/data';
import { bert, labelledBatch, classificationHead } from '@evenkeel/models-bert';
import { dispose, memory, type Tensor, type TensorContainer } from '@tensorflow/tfjs-core';
import { useDevice } from '@evenkeel/core-tensor';
import { wasm } from '@evenkeel/wasm-kernels';
import { beforeAll, describe, expect, it } from 'vitest';
import { fineTuneArm, fineTuneClasses } from '../src/fineTuneArm.ts';
import { maskedTexts, maskedLoss, pretrain, sequenceOf, sequencesOf } from '../src/maskedText.ts';

beforeAll(async () => void await useDevice('wasm', [wasm({ threads: 1 })]));

const lines = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 'the sun is warm and the day is long' : 'the rain is cold and the night is long').split(' ').slice(i % 3).join(' '));
const tokenizer = trainWordPiece(lines, { vocabSize: 80 });
const sequences = lines.map((line) => sequenceOf(tokenizer, line, 12));
const encoder = bert({ vocabSize: tokenizer.vocabSize, depth: 1, dim: 16, numHeads: 2, contextLength: 12 });
/** One value of the row of [CLS], which every sequence has. */
const numberOf = async (x: Tensor): Promise<number> => (await x.data())[2 * 16] as number;

describe('arms of BERT', () => {
  it('sequenceOf cuts a line off, sequencesOf cuts it into pieces that together are all of it', () => {
    const ids = Array.from(tokenizer.encode(lines[0]!));
    expect(Array.from(sequenceOf(tokenizer, lines[0]!, 6))).toEqual([2, ...ids.slice(0, 4), 3]);
    const pieces = sequencesOf(tokenizer, [lines[0]!, lines[1]!], 6);
    expect(pieces.every((piece) => piece[0] === 2 && piece.at(-1) === 3 && piece.length <= 6)).toBe(true);
    expect(pieces.flatMap((piece) => Array.from(piece.subarray(1, -1)))).toEqual([...ids, ...tokenizer.encode(lines[1]!)]);
  });

  it('maskedTexts has as many positions as tokens, or as the padding makes of them, and masks no special token', async () => {
    const some = sequences.slice(0, 4);
    const [padded, unpadded] = [maskedTexts(some, { tokenizer, prob: 1, length: 12, seed: 1 }), maskedTexts(some, { tokenizer, prob: 1, seed: 1 })];
    const tokens = some.reduce((sum, { length }) => sum + length, 0);
    expect([padded.ids.shape, unpadded.ids.shape, padded.labels.size, unpadded.labels.size]).toEqual([[4, 12], [tokens], tokens - 8, tokens - 8]);
    expect(Array.from(await unpadded.labels.data())).toEqual(some.flatMap((ids) => Array.from(ids.subarray(1, -1))));
    dispose([padded, unpadded] as unknown as TensorContainer);
  });

  it('pretrain learns a text, and fine-tuning starts from its encoder and leaves it alone', async () => {
    const before = memory().numTensors;
    const { params, losses, positions } = await pretrain({ encoder, tokenizer, sequences, prob: 0.3, batchSize: 8, steps: 60, learningRate: 1e-2, seed: 1 });
    expect(await maskedLoss(encoder, params, sequences, { tokenizer, prob: 0.15, seed: 0 })).toBeLessThan(losses[0]! / 2);
    expect(positions.every((count) => count < 8 * 12)).toBe(true);
    const value = await numberOf(params.wordEmbedding.weight);
    const examples = sequences.map((ids, i) => ({ ids, label: i % 2 }));
    const options = { encoder, examples, batchSize: 8, steps: 30, learningRate: 1e-2, weightDecay: 0, seed: 2 };
    const seen = async (start: object): Promise<number[]> => (await fineTuneArm({
      ...options, ...start, head: classificationHead({ numClasses: 2 }), batchOf: (some) => labelledBatch(some), score: (_, leaves) => numberOf(leaves.wordEmbedding.weight),
    })).scores.map(([, score]) => score);
    const [from, scratch] = [await seen({ from: params }), await seen({})];
    expect(from[0]).toBe(value);
    expect(scratch[0]).not.toBe(value);
    expect(from[1]).not.toBe(value); // it was trained
    expect(await numberOf(params.wordEmbedding.weight)).toBe(value); // and that from which it started was not
    const { score, scores } = await fineTuneClasses({ ...options, from: params, test: examples, evaluations: 3 });
    expect(scores.map(([step]) => step)).toEqual([0, 10, 20, 30]);
    expect(score).toBe(1);
    dispose(params as TensorContainer);
    expect(memory().numTensors).toBe(before);
  });
});

import { dispose, memory, tensor2d } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { gpt } from '@evenkeel/models-gpt';
import { evaluationBatches, meanLossOf } from '../src/gpt/evaluation.ts';

const counting = (count: number) => Int32Array.from({ length: count }, (_, i) => i);

describe('evaluationBatches', () => {
  it.each([[2, 1], [65, 64], [66, 64], [130, 64], [1000, 3]])('evaluationBatches(%i tokens, context %i) makes every token but the first a target once', (count, contextLength) => {
    const targets = evaluationBatches(counting(count), { contextLength, batchSize: 3 }).flatMap((batch) => [...batch.targets]);
    expect(targets).toEqual(Array.from({ length: count - 1 }, (_, i) => i + 1));
  });

  it('evaluationBatches(0 or 1 tokens) is empty', () => {
    for (const count of [0, 1]) expect(evaluationBatches(counting(count), { contextLength: 8, batchSize: 2 })).toEqual([]);
  });

  it('evaluationBatches({ maxTokens }) spreads the batches from the beginning to the end and repeats none', () => {
    const batches = evaluationBatches(counting(1001), { contextLength: 10, batchSize: 1, maxTokens: 70 });
    expect(batches.map(({ inputs }) => inputs[0])).toEqual([0, 140, 280, 420, 570, 710, 850]);
  });
});

describe('meanLossOf', () => {
  const model = gpt({ vocabSize: 11, contextLength: 5, depth: 1, dim: 8, numHeads: 2 });
  const ids = Int32Array.from({ length: 23 }, (_, i) => (i * i + 3 * i) % 11);
  const batchesOf = (batchSize: number) => evaluationBatches(ids, { contextLength: 5, batchSize });

  it('meanLossOf(model, params, batches) is the mean over all targets, whatever the batch size', async () => {
    const params = model.init({ seed: 1 });
    const expected = await oneByOne(params);
    for (const batchSize of [1, 3, 65]) {
      const { loss, tokens } = await meanLossOf(model, params, batchesOf(batchSize));
      expect(tokens).toBe(22);
      expect(Math.abs(loss - expected)).toBeLessThan(1e-6);
    }
    dispose(params as never);
  });

  it('meanLossOf frees what it makes', async () => {
    const params = model.init({ seed: 1 });
    const before = memory().numTensors;
    await meanLossOf(model, params, batchesOf(2));
    expect(memory().numTensors).toBe(before);
    dispose(params as never);
  });

  it('meanLossOf(no batches) is NaN over 0 tokens', async () => {
    const params = model.init({ seed: 1 });
    expect(await meanLossOf(model, params, [])).toEqual({ loss: NaN, tokens: 0 });
    dispose(params as never);
  });

  /** The loss of every window of 5 alone, from its logits in float64. */
  async function oneByOne(params: ReturnType<typeof model.init>): Promise<number> {
    let sum = 0;
    for (let start = 0; start < 22; start += 5) {
      const length = Math.min(5, 22 - start);
      const logits = model.apply(tensor2d(ids.slice(start, start + length), [1, length], 'int32'), params);
      const rows = (await logits.array())[0] as number[][];
      rows.forEach((row, i) => {
        sum += Math.log(row.reduce((total, x) => total + Math.exp(x), 0)) - (row[ids[start + i + 1] as number] as number);
      });
    }
    return sum / 22;
  }
});

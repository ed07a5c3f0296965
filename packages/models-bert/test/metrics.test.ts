import { describe, expect, it } from 'vitest';
import { param } from '@evenkeel/core-tensor';
import { accuracy, answerF1, bestSpan, confusionMatrix, exactMatch, f1Score, fineTuningOptimizer, GLUE_RECIPES, matthews, pearson, spearman } from '@evenkeel/models-bert';
import { dispose, tensor1d, tensor2d, zeros } from '@tensorflow/tfjs-core';
import { applyUpdates } from '@evenkeel/optimizers';

const labels = [1, 1, 1, 0, 0, 1, 0, 1];
const predictions = [1, 0, 1, 0, 1, 1, 0, 1]; // 4 true and 1 false positive, 1 false and 2 true negatives

describe('metrics', () => {
  it('accuracy, f1Score and matthews are those of a table worked out by hand', () => {
    expect(accuracy(predictions, labels)).toBe(6 / 8);
    expect(f1Score(predictions, labels)).toBeCloseTo(8 / 10, 12);
    expect(f1Score(predictions, labels, { positive: 0 })).toBeCloseTo(4 / 6, 12);
    expect(matthews(predictions, labels)).toBeCloseTo((4 * 2 - 1 * 1) / Math.sqrt(5 * 5 * 3 * 3), 12);
    expect(confusionMatrix(predictions, labels, 2)).toEqual([[2, 1], [1, 4]]);
  });

  it('matthews is 1 for the labels, −1 for their opposite and 0 for one class alone', () => {
    expect(matthews(labels, labels)).toBeCloseTo(1, 12);
    expect(matthews(labels.map((label) => 1 - label), labels)).toBeCloseTo(-1, 12);
    expect(matthews(labels.map(() => 1), labels)).toBe(0);
    expect(f1Score(labels.map(() => 0), labels)).toBe(0);
  });

  it('pearson and spearman are those of a table worked out by hand, with ties, and what NumPy gives', () => {
    expect(pearson([1, 2, 3, 4], [2, 4, 6, 8.5])).toBeCloseTo(10.75 / Math.sqrt(5 * 23.1875), 12);
    expect(spearman([0.1, 5, 2, 100], [1, 3, 2, 4])).toBeCloseTo(1, 12);
    expect(spearman([1, 2, 2, 3], [10, 8, 9, 1])).toBeCloseTo(-4.5 / Math.sqrt(4.5 * 5), 12); // ranks 0, 1.5, 1.5, 3 and 3, 1, 2, 0
    const [said, wanted] = [[2.5, 0.25, 4, 4, 1.75, 3, 0, 5], [3, 0.5, 4.5, 3.5, 1, 3, 1, 4.5]];
    expect(pearson(said, wanted)).toBeCloseTo(0.9433506046187583, 12); // numpy.corrcoef
    expect(spearman(said, wanted)).toBeCloseTo(0.932996209912368, 12); // numpy.corrcoef of the mean ranks
    expect([pearson([1, 1], [1, 2]), spearman([2, 1], [3, 3])]).toEqual([0, 0]);
    expect(() => spearman([1], [1, 0])).toThrow('spearman: predictions must be as many as the 2 labels, got 1');
  });

  it('metrics name lists of different lengths, empty ones and classes out of range', () => {
    expect(() => accuracy([1], [1, 0])).toThrow('accuracy: predictions must be as many as the 2 labels, got 1');
    expect(() => matthews([], [])).toThrow('matthews: labels must hold at least one, got none');
    expect(() => confusionMatrix([2], [1], 2)).toThrow('confusionMatrix: classes must be integers below 2, got 2');
  });

  it('exactMatch and answerF1 overlook case, punctuation and articles, and take the best reference', () => {
    expect(exactMatch('The Nile!', ['a nile', 'river'])).toBe(1);
    expect(exactMatch('the Nile river', ['Nile'])).toBe(0);
    expect(answerF1('the Nile river', ['Nile', 'a lake'])).toBeCloseTo(2 / 3, 12);
    expect(answerF1('to be or to be', ['to be to'])).toBeCloseTo((2 * 3) / 8, 12);
    expect(answerF1('', ['Nile'])).toBe(0);
    expect(answerF1('في تونس!', ['تونس'])).toBeCloseTo(2 / 3, 12);
  });

  it("exactMatch and answerF1 take letters outside ASCII for letters, and leave their punctuation, as SQuAD's script does", () => {
    expect(exactMatch('a à the thé', ['à thé'])).toBe(1);
    expect(exactMatch('Zoë an é', ['Zoë é'])).toBe(1);
    expect(exactMatch('à', [''])).toBe(0);
    expect(exactMatch('éa', ['é'])).toBe(0);
    expect(exactMatch('“Nile”', ['Nile'])).toBe(0);
    expect(exactMatch('$5-(6)_`~', ['56'])).toBe(1);
  });

  it('bestSpan finds the best start and end in order, within the tokens and the length allowed', () => {
    const [starts, ends] = [[0, 5, 1, 3, 0], [9, 0, 2, 4, 8]];
    expect(bestSpan(starts, ends)).toEqual({ start: 1, end: 4, score: 13 });
    expect(bestSpan(starts, ends, { maxLength: 2 })).toEqual({ start: 3, end: 4, score: 11 });
    expect(bestSpan(starts, ends, { from: 1, to: 4 })).toEqual({ start: 1, end: 3, score: 9 });
    expect(() => bestSpan(starts, ends, { from: 4, to: 4 })).toThrow('bestSpan: from and to must leave tokens of the 5, got 4 and 4');
  });
});

describe('fineTuningOptimizer', () => {
  it('fineTuningOptimizer decays matrices by the schedule alone, and no biases', async () => {
    const specs = { weight: { shape: [1, 2], axes: 'out in', role: 'hidden' }, bias: { shape: [1], axes: 'out', role: 'bias' } } as const;
    const params = { weight: param(() => tensor2d([[1, -2]])), bias: param(() => tensor1d([3])) };
    const optimizer = fineTuningOptimizer(specs, { learningRate: 0.5, weightDecay: 0.1, steps: 10 });
    const state = optimizer.init(params);
    const updates = optimizer.update({ weight: zeros([1, 2]), bias: zeros([1]) }, state, params);
    applyUpdates(params, updates as never);
    const first = 1 - 0.1 * 0.5; // the first of one step of warm-up is half of the peak: η/ηₘₐₓ = 1/2
    expect(Array.from(await params.weight.data())).toEqual([Math.fround(first), Math.fround(-2 * first)]);
    expect((await params.bias.data())[0]).toBe(3);
    dispose([params, updates] as never);
  });

  it('GLUE_RECIPES decays a tenth of the learning rate in all tasks but RTE', () => {
    for (const [task, { learningRate, weightDecay }] of Object.entries(GLUE_RECIPES)) expect(weightDecay / learningRate).toBeCloseTo(task === 'rte' ? 1 : 0.1, 12);
  });

  it('spearman of numbers that are none is none, and ends', () => {
    expect(spearman([NaN, 1, NaN], [1, 2, 3])).toBeTypeOf('number');
  });
});

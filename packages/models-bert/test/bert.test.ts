import { abs, add, clone, dispose, reverse, slice, sub, sum, tensor1d, tensor2d, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { foldSeed, treeEntries, treePaths, valueAndGrad, type Layer, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import { crossEntropy, gatedMlpLayer } from '@evenkeel/layers';
import { bert, bertConfig, bertWithHead, classificationHead, maskedLmHead, mosaicBert, preTrainingHead, spanHead, tokenClassificationHead } from '@evenkeel/models-bert';
import { rmsNormLayer } from '@evenkeel/norms';
import { adamw, applyUpdates } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';

const sizes = { vocabSize: 20, depth: 2, dim: 8, numHeads: 2, contextLength: 8 };
const rows = (values: number[][]): Tensor => tensor2d(values, [values.length, values[0]!.length], 'int32');
const count = (specs: Tree<ParamSpec>): number => treeEntries<ParamSpec>(specs).reduce((total, [, { shape }]) => total + shape.reduce((a, b) => a * b, 1), 0);

describe('bert configuration', () => {
  it('bert refuses sizes and techniques that do not fit, with what came', () => {
    expect(() => bert({ ...sizes, dim: 9 })).toThrow('bert: dim must be divisible by numHeads, got 9 and 2');
    expect(() => bert({ ...sizes, depth: 0 })).toThrow('bert: depth must be an integer ≥ 1, got 0');
    expect(() => bert({ ...sizes, positions: 'rope' as never })).toThrow('bert: positions must be one of learned, alibi, none, got rope');
    expect(() => bert({ ...sizes, positions: 'alibi', attention: flashAttention })).toThrow("attention must be left out with positions 'alibi'");
    expect(() => bert({ ...sizes, logitScale: 0 })).toThrow('bert: logitScale must be a positive number, got 0');
    expect(() => bert({ ...sizes, norm: 3 as never })).toThrow('bert: norm must be a function');
    expect(() => classificationHead({ numClasses: 1 })).toThrow('numClasses must be an integer ≥ 2, got 1');
  });

  it('bertConfig fills in the defaults of BERT and pads the vocabulary', () => {
    expect(bertConfig(sizes)).toMatchObject({ hiddenDim: 32, activation: 'gelu', positions: 'learned', normEps: 1e-12, typeVocabSize: 2, paddedVocabSize: 20 });
    expect(bertConfig({ ...sizes, vocabSize: 30522, vocabMultiple: 64 }).paddedVocabSize).toBe(30528);
  });

  it('bert names the techniques in which it departs from BERT', () => {
    expect(bert(sizes).departures).toEqual([]);
    expect(bert({ ...sizes, placement: 'post' }).departures).toEqual([]);
    expect(bert({ ...sizes, placement: 'pre', norm: rmsNormLayer() }).departures).toEqual(['norm', 'placement']);
    expect(mosaicBert(sizes).departures).toEqual(['mlp', 'positions']);
    expect(bert({ ...sizes, logitScale: 1 }).departures).toEqual([]);
    expect(bert({ ...sizes, logitScale: 2 }).departures).toEqual(['logitScale']);
  });

  it('mosaicBert has 3·dim·hidden + dim parameters in each perceptron, BERT 2·dim·hidden + hidden + dim', () => {
    const ofMlp = (specs: Tree<ParamSpec>) => count(Object.fromEntries(treeEntries<ParamSpec>(specs).filter(([path]) => path.startsWith('blocks.0.mlp.'))));
    expect(ofMlp(bert(sizes).specs)).toBe(2 * 8 * 32 + 32 + 8);
    expect(ofMlp(mosaicBert(sizes).specs)).toBe(3 * 8 * 32 + 8);
    expect(treePaths(mosaicBert(sizes).specs)).not.toContain('positionEmbedding.weight');
  });
});

forEachBackend(() => {
  describe('bert', () => {
    it('bert(…).apply names ids of another rank, longer than its positions, and a mask of another shape', () => {
      const encoder = bert(sizes);
      const params = encoder.init({ seed: 1 });
      expect(() => encoder.apply({ ids: tensor1d([1], 'int32') }, params)).toThrow('bert: ids must have rank 2');
      expect(() => encoder.apply({ ids: rows([[1, 2, 3, 4, 5, 6, 7, 8, 9]]) }, params)).toThrow('bert: ids must be at most 8 positions long, got 9');
      expect(() => encoder.apply({ ids: rows([[1, 2]]), mask: rows([[1]]) }, params)).toThrow('bert: mask must have shape [1, 2], got [1, 1]');
      expect(() => encoder.apply({ ids: tensor1d([1, 2], 'int32'), cuSeqlens: [0, 1] }, params)).toThrow('bert: cuSeqlens must go from 0 to the 2 ids, got 0 to 1');
      expect(() => encoder.apply({ ids: tensor1d([1, 2], 'int32'), mask: tensor1d([1, 1], 'int32'), cuSeqlens: [0, 2] }, params)).toThrow('mask must be left out with cuSeqlens');
      const own = bert({ ...sizes, attention: flashAttention });
      expect(() => own.apply({ ids: tensor1d([1, 2], 'int32'), cuSeqlens: [0, 2] }, params)).toThrow('attention must have varlen where cuSeqlens are given');
    });

    it('padding and what stands in it change no token', async () => {
      for (const encoder of [bert(sizes), mosaicBert(sizes)]) {
        const params = encoder.init({ seed: 1 });
        const short = encoder.apply({ ids: rows([[1, 5, 7]]) }, params);
        for (const padding of [[0, 0], [9, 3]]) {
          const long = encoder.apply({ ids: rows([[1, 5, 7, ...padding]]), mask: rows([[1, 1, 1, 0, 0]]) }, params);
          await expectClose(slice(long, [0, 0, 0], [1, 3, 8]), short, { rtol: 0, atol: 1e-5 });
        }
      }
    });

    it('mosaicBert of a reversed sequence is the reverse, and a shifted one is the same: it knows distances only', async () => {
      const encoder = mosaicBert(sizes);
      const params = encoder.init({ seed: 1 });
      const forward = encoder.apply({ ids: rows([[1, 5, 7, 2, 9]]) }, params);
      const backward = encoder.apply({ ids: rows([[9, 2, 7, 5, 1]]) }, params);
      await expectClose(reverse(backward, 1), forward, { rtol: 0, atol: 1e-5 });
      const shifted = encoder.apply({ ids: rows([[0, 0, 1, 5, 7, 2, 9]]), mask: rows([[0, 0, 1, 1, 1, 1, 1]]) }, params);
      await expectClose(slice(shifted, [0, 2, 0], [1, 5, 8]), forward, { rtol: 0, atol: 1e-5 });
      const plain = bert(sizes);
      const theirs = plain.init({ seed: 1 });
      const [a, b] = [plain.apply({ ids: rows([[1, 5, 7, 2, 9]]) }, theirs), reverse(plain.apply({ ids: rows([[9, 2, 7, 5, 1]]) }, theirs), 1)];
      const differences = await abs(sub(a, b)).data();
      expect(Math.max(...differences)).toBeGreaterThan(1e-3);
    });

    it('the gradient of the tied word embedding is the sum of that of the input and that of the output', async () => {
      const encoder = bert(sizes);
      const model = bertWithHead(encoder, maskedLmHead());
      const params = model.init({ seed: 1 });
      const batch = { ids: rows([[1, 5, 7]]), labels: rows([[-100, 6, -100]]) };
      const tied = valueAndGrad((p) => model.loss(batch, p as never), params).grads as never as { wordEmbedding: { weight: Tensor } };
      // The same with two copies, one for the input and one for the output.
      const copies = { input: params.wordEmbedding.weight, output: clone(params.wordEmbedding.weight) };
      const head = maskedLmHead();
      const layers = head.layers(encoder.config);
      const through = (name: string, x: Tensor) => (layers[name] as Layer).apply(x, params.head[name] as Tree<Tensor>);
      const { grads } = valueAndGrad((p) => {
        const { input, output } = p as never as Record<'input' | 'output', Tensor>;
        const hidden = encoder.apply(batch, { ...params, wordEmbedding: { weight: input } });
        const logits = head.apply(hidden, { config: encoder.config, inputs: batch, params: { ...params, wordEmbedding: { weight: output } }, through, drop: (x) => x });
        return crossEntropy(logits, batch.labels);
      }, copies as never);
      const { input, output } = grads as never as Record<'input' | 'output', Tensor>;
      await expectClose(tied.wordEmbedding.weight, add(input, output), { rtol: 1e-4, atol: 1e-7 });
    });

    it('rows of a padded vocabulary are no input: their gradient is that of the softmax alone', async () => {
      const encoder = bert({ ...sizes, vocabMultiple: 64 });
      const params = encoder.init({ seed: 1 });
      const inputs = { ids: rows([[1, 5, 19]]) };
      const { grads } = valueAndGrad((p) => sum(slice(encoder.apply(inputs, p as never), [0, 0, 0], [1, 1, 3])) as Scalar, params);
      const values = await (grads as never as { wordEmbedding: { weight: Tensor } }).wordEmbedding.weight.array() as number[][];
      expect(values.length).toBe(64);
      expect(values.slice(20).flat().every((value) => value === 0)).toBe(true);
    });

    it('dropout needs a seed in training and gives the same loss for the same one', async () => {
      const model = bertWithHead(bert({ ...sizes, dropout: 0.1 }), classificationHead({ numClasses: 2 }));
      const params = model.init({ seed: 1 });
      const batch = { ids: rows([[1, 5, 7]]), labels: tensor1d([1], 'int32') };
      expect(() => model.loss(batch, params, { train: true })).toThrow('seed must be given');
      const [a, b, c] = [3, 3, 4].map((seed) => model.loss(batch, params, { train: true, seed }));
      expect((await a!.data())[0]).toBe((await b!.data())[0]);
      expect((await a!.data())[0]).not.toBe((await c!.data())[0]);
    });

    it('every head trains: ten steps lower its loss, and each reaches every parameter', async () => {
      const inputs = { ids: rows([[1, 5, 7, 2], [1, 9, 2, 0]]), mask: rows([[1, 1, 1, 1], [1, 1, 1, 0]]), tokenTypes: rows([[0, 0, 1, 1], [0, 0, 1, 0]]) };
      const cases = [
        [bertWithHead(bert(sizes), preTrainingHead()), { ...inputs, labels: rows([[-100, 5, -100, 2], [-100, 9, 2, -100]]), nextSentence: tensor1d([0, 1], 'int32') }],
        [bertWithHead(bert(sizes), classificationHead({ numClasses: 3 })), { ...inputs, labels: tensor1d([2, 0], 'int32') }],
        [bertWithHead(bert(sizes), tokenClassificationHead({ numClasses: 3 })), { ...inputs, labels: rows([[-100, 1, 2, 0], [-100, 1, 1, -100]]) }],
        [bertWithHead(bert(sizes), spanHead()), { ...inputs, starts: tensor1d([1, -100], 'int32'), ends: tensor1d([2, -100], 'int32') }],
        [bertWithHead(bert({ ...sizes, placement: 'pre', rematerialise: true, norm: rmsNormLayer(), mlp: gatedMlpLayer({ hiddenDim: 16 }) }), maskedLmHead()), { ...inputs, labels: rows([[-100, 5, -100, 2], [-100, 9, 2, -100]]) }],
      ] as const;
      for (const [model, batch] of cases) {
        const params = model.init({ seed: foldSeed(1, model.kind) });
        const optimizer = adamw({ learningRate: 1e-2 });
        const state = optimizer.init(params);
        const losses: number[] = [];
        for (let step = 0; step < 10; step++) {
          const { value, grads } = valueAndGrad((p) => model.loss(batch as never, p as never), params);
          const updates = optimizer.update(grads, state, params);
          applyUpdates(params, updates);
          losses.push((await value.data())[0]!);
          dispose([value, grads, updates] as never);
        }
        expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.1);
        dispose([params, state] as never);
      }
    });

    it('apply and loss leak nothing', async () => {
      const model = bertWithHead(mosaicBert(sizes), maskedLmHead());
      const params = model.init({ seed: 1 });
      const batch = { ids: rows([[1, 5, 7]]), labels: rows([[-100, 6, -100]]) };
      await expectNoLeak(() => model.loss(batch, params));
      await expectNoLeak(() => model.encoder.apply(batch, params));
    });
  });
});

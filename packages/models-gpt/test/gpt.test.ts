import { dispose, memory, ones, sub, sum, mul, tensor2d, tidy, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { treeEntries, treePaths, valueAndGrad, type Tree } from '@evenkeel/core-tensor';
import { attentionReference } from '@evenkeel/flash-attention';
import { gpt, gptConfig, type GptSizes } from '@evenkeel/models-gpt';
import { rmsNormLayer } from '@evenkeel/norms';
import { expectClose, forEachBackend } from '@evenkeel/testing';

const sizes: GptSizes = { vocabSize: 13, contextLength: 9, depth: 2, dim: 12, numHeads: 3 };
const ids = (rows: number[][]): Tensor2D => tensor2d(rows, [rows.length, rows[0]!.length], 'int32');
const batch = () => ({ inputs: ids([[1, 5, 2, 0, 12], [3, 3, 4, 1, 1]]), targets: ids([[5, 2, 0, 12, 7], [3, 4, 1, 1, 0]]) });

describe('gpt configuration', () => {
  it('gpt refuses sizes that do not fit each other, with both numbers', () => {
    expect(() => gpt({ ...sizes, dim: 13 })).toThrow('gpt: dim must be divisible by numHeads, got 13 and 3');
    expect(() => gpt({ ...sizes, depth: 0 })).toThrow('gpt: depth must be an integer ≥ 1, got 0');
    expect(() => gpt({ ...sizes, vocabSize: 1.5 })).toThrow('gpt: vocabSize must be an integer ≥ 1, got 1.5');
    expect(() => gpt({ ...sizes, dropout: 1 })).toThrow('gpt: dropout must be in [0, 1), got 1');
    expect(() => gpt({ ...sizes, numKvHeads: 2 })).toThrow('gpt: numHeads must be divisible by numKvHeads, got 3 and 2');
    expect(() => gpt({ ...sizes, logitScale: 0 })).toThrow('gpt: logitScale must be a positive number, got 0');
  });

  it('gptConfig fills in the defaults of GPT-2', () => {
    expect(gptConfig(sizes)).toMatchObject({ hiddenDim: 48, numKvHeads: 3, bias: true, tiedHead: true, activation: 'geluTanh', normEps: 1e-5, logitScale: 1 });
  });
});

forEachBackend(() => {
  describe('gpt', () => {
    it('gpt starts as GPT-2 does: loss near ln(vocabulary), residual projections scaled by depth', async () => {
      const model = gpt({ ...sizes, vocabSize: 50, dim: 48, numHeads: 4 });
      const params = model.init({ seed: 3 });
      const { inputs, targets } = batch();
      const loss = model.loss({ inputs, targets }, params);
      expect(Math.abs((await loss.data())[0]! - Math.log(50))).toBeLessThan(0.1);
      const std = async (x: Tensor): Promise<number> => {
        const values = Array.from(await x.data() as Float32Array);
        return Math.sqrt(values.reduce((total, value) => total + value * value, 0) / values.length);
      };
      const at = new Map(treeEntries(params as unknown as Tree<Tensor>));
      expect(await std(at.get('blocks.0.attn.qkv.weight')!)).toBeCloseTo(0.02, 2);
      expect(Math.abs((await std(at.get('blocks.1.mlp.down.weight')!)) - 0.01)).toBeLessThan(0.001);
      dispose([params as never, inputs, targets, loss]);
    });

    it('gpt.init gives the same values for the same seed and others for another', async () => {
      const model = gpt(sizes);
      const [a, b, c] = [1, 1, 2].map((seed) => model.init({ seed }));
      await expectClose(a!.tokenEmbedding.weight, await b!.tokenEmbedding.weight.data(), { rtol: 0, atol: 0 });
      expect(await a!.tokenEmbedding.weight.data()).not.toEqual(await c!.tokenEmbedding.weight.data());
      dispose([a, b, c] as never);
    });

    it('gpt({ logitScale }) multiplies the logits, of a tied head and of one of its own', async () => {
      for (const tiedHead of [true, false]) {
        const [plain, scaled] = [gpt({ ...sizes, tiedHead }), gpt({ ...sizes, tiedHead, logitScale: 0.5 })];
        const [params, tokens] = [plain.init({ seed: 1 }), ids([[1, 2, 3]])];
        const [expected, actual] = [tidy(() => mul(plain.apply(tokens, params), 0.5)), scaled.apply(tokens, params)];
        await expectClose(actual, expected, { rtol: 1e-6, atol: 1e-7 });
        dispose([params as never, tokens, expected, actual]);
      }
    });

    it('gpt.apply is causal: later tokens change no earlier logits', async () => {
      const model = gpt(sizes);
      const params = model.init({ seed: 1 });
      const first = model.apply(ids([[1, 2, 3, 4, 5, 6, 7]]), params);
      const second = model.apply(ids([[1, 2, 3, 4, 9, 9, 9]]), params);
      const difference = Array.from(await sub(first, second).data());
      expect(Math.max(...difference.slice(0, 4 * 13).map(Math.abs))).toBe(0);
      expect(Math.max(...difference.slice(4 * 13).map(Math.abs))).toBeGreaterThan(1e-4);
    });

    it('gpt.decode with a cache gives the logits of gpt.apply, whatever the pieces', async () => {
      for (const numKvHeads of [3, 1]) {
        const model = gpt({ ...sizes, numKvHeads });
        const params = model.init({ seed: 2 });
        const tokens = [1, 5, 2, 0, 12, 4, 4];
        const whole = Array.from(await model.apply(ids([tokens]), params).data());
        let cache: Parameters<typeof model.decode>[2] = null;
        for (const [start, end] of [[0, 3], [3, 4], [4, 7]] as const) {
          const next = model.decode(ids([tokens.slice(start, end)]), params, cache);
          await expectClose(next.logits, Float32Array.from(whole.slice((end - 1) * 13, end * 13)), { rtol: 1e-4, atol: 1e-5 });
          cache = next.cache;
        }
      }
    });

    it('gpt with techniques given as values trains: rmsNorm, reference attention, post-norm, untied head', async () => {
      const model = gpt({ ...sizes, norm: rmsNormLayer(), attention: attentionReference, placement: 'post', tiedHead: false });
      const params = model.init({ seed: 1 });
      const { grads } = valueAndGrad((p) => model.loss(batch(), p), params);
      expect(treePaths(grads as unknown as Tree<Tensor>)).toEqual(treePaths(params as unknown as Tree<Tensor>));
      expect(treePaths(params as unknown as Tree<Tensor>)).toContain('head.weight');
    });

    it('gpt drops attention probabilities too: with dropout only there, training differs from evaluation and depends on the seed', async () => {
      const heard: unknown[] = [];
      const model = gpt({ ...sizes, dropout: 0.4 });
      const params = model.init({ seed: 1 });
      const plain = gpt({ ...sizes, dropout: 0.4, attention: (q, k, v, call) => { heard.push(call); return attentionReference(q, k, v, call); } });
      const loss = async (of: typeof model, seed: number): Promise<number> => (await of.loss(batch(), params, { train: true, seed }).data())[0]!;
      expect(await loss(model, 5)).toBe(await loss(model, 5));
      expect(await loss(model, 5)).not.toBe(await loss(plain, 5)); // the same seed but for attention's own dropout
      expect(heard[0]).toMatchObject({ causal: true, train: true });
    });

    it('gpt with rematerialise has the same loss and gradients', async () => {
      const [plain, frugal] = [gpt({ ...sizes, dropout: 0.2 }), gpt({ ...sizes, dropout: 0.2, rematerialise: true })];
      const params = plain!.init({ seed: 1 });
      const call = { train: true, seed: 5 };
      const expected = valueAndGrad((p) => plain!.loss(batch(), p, call), params);
      const actual = valueAndGrad((p) => frugal!.loss(batch(), p, call), params);
      await expectClose(actual.value, await expected.value.data(), { rtol: 1e-6, atol: 0 });
      const expectedGrads = new Map(treeEntries(expected.grads as unknown as Tree<Tensor>));
      for (const [path, grad] of treeEntries(actual.grads as unknown as Tree<Tensor>)) {
        await expectClose(grad, await expectedGrads.get(path)!.data(), { rtol: 1e-4, atol: 1e-6 });
      }
    });

    it('gpt leaks nothing over training steps, also when a step throws', () => {
      const model = gpt(sizes);
      const params = model.init({ seed: 1 });
      const before = memory().numTensors;
      for (let i = 0; i < 3; i++) {
        tidy(() => { valueAndGrad((p) => model.loss(batch(), p), params); });
        expect(() => tidy(() => { valueAndGrad((p) => mul(model.loss(batch(), p), ones([2, 3])), params); })).toThrow('one float32 number');
        expect(() => tidy(() => { valueAndGrad((p) => { sum(model.apply(batch().inputs, p)); throw new Error('stop'); }, params); })).toThrow('stop');
      }
      expect(memory().numTensors).toBe(before);
      dispose(params as never);
    });

    it('gpt names the argument when tokens are too long, of the wrong rank or dtype, and when dropout lacks a seed', () => {
      const model = gpt({ ...sizes, dropout: 0.1 });
      const params = model.init({ seed: 1 });
      expect(() => model.apply(ids([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]), params)).toThrow('gpt: tokens must be at most 9 positions long, got 10');
      expect(() => model.apply(ones([2, 3, 1], 'int32') as never, params)).toThrow('gpt: tokens must have rank 2, got shape [2, 3, 1]');
      expect(() => model.apply(ones([2, 3]) as never, params)).toThrow('gpt: tokens must have dtype int32, got float32');
      expect(() => model.apply(ids([[1]]), params, { train: true })).toThrow('seed must be given');
    });
  });
});

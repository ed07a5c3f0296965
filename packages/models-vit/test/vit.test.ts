import { dispose, memory, mul, ones, slice, tensor1d, tensor2d, tidy, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { treeEntries, treePaths, valueAndGrad, type Tree } from '@evenkeel/core-tensor';
import { attentionReference } from '@evenkeel/flash-attention';
import { gatedMlpLayer, layerScale, stochasticDepth } from '@evenkeel/layers';
import { targetCrossEntropy, vit, vitConfig, type VitParams, type VitSizes, type VitTechniques } from '@evenkeel/models-vit';
import { qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { expectClose, forEachBackend, randomTensor } from '@evenkeel/testing';

const sizes: VitSizes = { imageSize: 8, patchSize: 4, numClasses: 5, depth: 2, dim: 12, numHeads: 3 };
const images = (count = 2, seed = 1, size = 8): Tensor4D => randomTensor([count, size, size, 3], { seed }) as Tensor4D;
const values = async (x: Tensor): Promise<number[]> => Array.from(await x.data());

describe('vit configuration', () => {
  it('vit refuses sizes that do not fit each other, with both numbers', () => {
    expect(() => vit({ ...sizes, imageSize: 9 })).toThrow('vit: imageSize must be divisible by patchSize, got 9 and 4');
    expect(() => vit({ ...sizes, dim: 13 })).toThrow('vit: dim must be divisible by numHeads, got 13 and 3');
    expect(() => vit({ ...sizes, numClasses: 0 })).toThrow('vit: numClasses must be an integer ≥ 1, got 0');
    expect(() => vit({ ...sizes, activation: 'relu' as never })).toThrow('vit: activation must be one of gelu, geluTanh, silu, got relu');
    expect(() => vit({ ...sizes, head: 3 as never })).toThrow('vit: head must be a function such as linearLayer(), got number');
  });

  it('vitConfig fills in the defaults of ViT', () => {
    expect(vitConfig(sizes)).toMatchObject({ channels: 3, hiddenDim: 48, activation: 'gelu', normEps: 1e-6, distilled: false, dropout: 0 });
  });
});

forEachBackend(() => {
  describe('vit', () => {
    it('has a class token, positions and a head; distilled two tokens, positions and heads', () => {
      const outside = (model: ReturnType<typeof vit>): string[] => treePaths(model.specs).filter((path) => !path.startsWith('blocks.'));
      expect(outside(vit(sizes))).toEqual(['patchEmbedding.weight', 'patchEmbedding.bias', 'classToken.weight', 'positionEmbedding.weight', 'norm.weight', 'norm.bias', 'head.weight', 'head.bias']);
      const distilled = vit({ ...sizes, distilled: true });
      expect(outside(distilled)).toEqual([
        'patchEmbedding.weight', 'patchEmbedding.bias', 'classToken.weight', 'distillationToken.weight', 'positionEmbedding.weight', 'norm.weight', 'norm.bias',
        'head.weight', 'head.bias', 'distillationHead.weight', 'distillationHead.bias']);
      const shapes = Object.fromEntries(treeEntries(distilled.specs).map(([path, spec]) => [path, spec.shape]));
      expect([shapes['patchEmbedding.weight'], shapes['positionEmbedding.weight'], shapes['distillationHead.weight']]).toEqual([[12, 48], [6, 12], [5, 12]]);
    });

    it('starts near the loss of guessing, weights from the truncated normal, biases 0', async () => {
      const model = vit({ ...sizes, dim: 48, numHeads: 4 });
      const params = model.init({ seed: 3 });
      const loss = model.loss({ images: images(4), targets: tensor1d([0, 1, 2, 3], 'int32') }, params);
      expect(Math.abs((await loss.data())[0]! - Math.log(5))).toBeLessThan(0.15);
      const at = new Map(treeEntries(params as unknown as Tree<Tensor>));
      for (const path of ['blocks.1.mlp.down.weight', 'classToken.weight', 'positionEmbedding.weight', 'head.weight']) {
        const all = await values(at.get(path)!);
        expect(Math.max(...all.map(Math.abs))).toBeLessThan(0.0401);
        expect(Math.sqrt(all.reduce((sum, value) => sum + value * value, 0) / all.length)).toBeGreaterThan(0.01);
      }
      expect(new Set(await values(at.get('head.bias')!))).toEqual(new Set([0]));
      dispose([params as never, loss]);
    });

    it('with DIST token, position row and head equal to CLS gives equal logits: attention sees a set', async () => {
      const model = vit({ ...sizes, distilled: true });
      const params = model.init({ seed: 1 });
      const positions = await values(params.positionEmbedding.weight);
      positions.splice(12, 12, ...positions.slice(0, 12));
      const same: VitParams = {
        ...params, distillationToken: params.classToken, distillationHead: params.head,
        positionEmbedding: { weight: tensor2d(positions, [6, 12]) },
      };
      const { cls, dist } = model.heads(images(3), same);
      await expectClose(dist!, await cls.data(), { rtol: 1e-5, atol: 1e-6 });
      const { cls: own, dist: other } = model.heads(images(3), params);
      expect(await values(own)).not.toEqual(await values(other!));
    });

    it('takes images of another size, whose positions are resized, and refuses those of other channels or no whole patches', () => {
      const model = vit({ ...sizes, distilled: true });
      const params = model.init({ seed: 1 });
      expect(model.tokens(images(2, 1, 12), params).shape).toEqual([2, 11, 12]);
      expect(model.apply(randomTensor([1, 4, 16, 3]) as Tensor4D, params).shape).toEqual([1, 5]);
      expect(() => model.apply(randomTensor([1, 8, 8, 1]) as Tensor4D, params)).toThrow('vit: images must have shape [..., 3], got [1, 8, 8, 1]');
      expect(() => model.apply(randomTensor([1, 8, 10, 3]) as Tensor4D, params)).toThrow('patchRows: images must have height and width divisible by patchSize, got 8 × 10 and 4');
      expect(() => model.apply(ones([1, 8, 8, 3], 'int32') as Tensor4D, params)).toThrow('vit: images must have dtype float32, got int32');
    });

    it('each technique trains: every parameter has a gradient', () => {
      const techniques: VitTechniques[] = [
        { norm: rmsNormLayer(), attention: attentionReference, placement: 'peri', qkNorm: qkNorm() }, { mlp: gatedMlpLayer(), placement: 'post', embeddingNorm: rmsNormLayer() },
        { branch: stochasticDepth({ rate: 0.1, branch: layerScale() }), rematerialise: true },
      ];
      for (const [i, each] of techniques.entries()) {
        const model = vit({ ...sizes, ...each, distilled: i === 0 });
        const params = model.init({ seed: 1 });
        const batch = { images: images(), targets: tensor1d([1, 4], 'int32') };
        const { grads } = valueAndGrad((p) => model.loss(batch, p, { train: true, seed: 1 }), params);
        expect(treePaths(grads as unknown as Tree<Tensor>)).toEqual(treePaths(params as unknown as Tree<Tensor>));
        expect(model.departures).toEqual(Object.keys(each).filter((name) => name !== 'rematerialise').sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b)));
        dispose([params, grads] as never);
      }
    });

    it('dropout and stochastic depth act in training alone, by the seed', async () => {
      const model = vit({ ...sizes, depth: 3, dropout: 0.2, branch: stochasticDepth({ rate: 0.5 }) });
      const params = model.init({ seed: 1 });
      const logits = async (options: object): Promise<number[]> => values(model.apply(images(4), params, options));
      expect(await logits({ train: true, seed: 1 })).toEqual(await logits({ train: true, seed: 1 }));
      expect(await logits({ train: true, seed: 1 })).not.toEqual(await logits({ train: true, seed: 2 }));
      expect(await logits({})).toEqual(await logits({ seed: 2 }));
      expect(() => model.apply(images(), params, { train: true })).toThrow('seed must be given');
    });

    it('tells of its embedding, its blocks and the tokens before the heads', () => {
      const model = vit({ ...sizes, distilled: true });
      const heard = new Map<string, number[]>();
      model.apply(images(), model.init({ seed: 1 }), { observe: (name, value) => { heard.set(name, value.shape); } });
      expect(heard.get('embedding')).toEqual([2, 6, 12]);
      expect([heard.get('class'), heard.get('distillation'), heard.has('blocks.1.attn.entropy')]).toEqual([[2, 12], [2, 12], true]);
    });

    it('leaks nothing over training steps, also when a step throws', () => {
      const model = vit({ ...sizes, distilled: true });
      const params = model.init({ seed: 1 });
      const batch = { images: images(), targets: tensor1d([1, 4], 'int32') };
      const before = memory().numTensors;
      for (let i = 0; i < 2; i++) {
        tidy(() => { valueAndGrad((p) => model.loss(batch, p), params); });
        expect(() => tidy(() => { valueAndGrad((p) => mul(model.loss(batch, p), ones([2])), params); })).toThrow('one float32 number');
        dispose(model.heads(batch.images, params) as never);
      }
      expect(memory().numTensors).toBe(before);
      dispose(params as never);
    });
  });

  describe('targetCrossEntropy', () => {
    it('of probabilities that are 0 and 1 is that of classes; of mixed ones the mixture; gradients too', async () => {
      const logits = randomTensor([3, 4]) as Tensor;
      const classes = tensor1d([2, 0, 3], 'int32');
      const [first, second] = [tensor2d([[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]), tensor2d([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]])];
      const of = (targets: Tensor) => valueAndGrad((p: { logits: Tensor }) => targetCrossEntropy(p.logits, targets), { logits });
      const [byClass, bySoft] = [of(classes), of(first)];
      await expectClose(bySoft.value, await byClass.value.data(), { rtol: 1e-5, atol: 1e-6 });
      await expectClose(bySoft.grads.logits, await byClass.grads.logits.data(), { rtol: 1e-5, atol: 1e-6 });
      const mixed = of(tensor2d([[0.7, 0, 0.3, 0], [1, 0, 0, 0], [0, 0.7, 0, 0.3]])); // 0.3 of the first, 0.7 of the second
      const expected = 0.3 * (await of(first).value.data())[0]! + 0.7 * (await of(second).value.data())[0]!;
      expect((await mixed.value.data())[0]).toBeCloseTo(expected, 5);
      expect(() => targetCrossEntropy(logits, slice(first, [0, 0], [3, 3]))).toThrow('targetCrossEntropy: targets must have shape [3, 4], got [3, 3]');
    });
  });
});

const ORDER = ['norm', 'linear', 'attention', 'mlp', 'placement', 'qkNorm', 'branch', 'embeddingNorm', 'head'];

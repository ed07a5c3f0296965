import { concat, dispose, gather, memory, mul, reshape, slice, sum, tensor1d, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { randomNormal, treeEntries, treePaths, valueAndGrad, type AttentionFn } from '@evenkeel/core-tensor';
import { flashAttention, flashAttentionVarlen } from '@evenkeel/flash-attention';
import { checkTechniques, departuresOf, embeddingLayer, modelOfLayers, transformerBlock, transformerStack, type StackParams } from '@evenkeel/layers';
import { layerNormLayer } from '@evenkeel/norms';
import { expectClose } from '@evenkeel/testing';

const config = { dim: 8, numHeads: 2, depth: 3, norm: layerNormLayer(), attention: flashAttention, causal: true } as const;

describe('transformerStack', () => {
  it('transformerStack(config).apply is its blocks one after another and the last norm', async () => {
    const stack = transformerStack(config);
    const { init } = modelOfLayers<StackParams>(stack.layers);
    const [params, x] = [init({ seed: 1 }), randomNormal([2, 5, 8], { seed: 2 })];
    const blocks = [0, 1, 2].map((block) => transformerBlock({ ...config, block }));
    const through = blocks.reduce<Tensor>((h, block, i) => block.apply(h, params.blocks[i]!), x);
    const expected = layerNormLayer()(8).apply(through, params.norm!);
    const actual = stack.apply(x, params);
    await expectClose(actual, await expected.data(), { rtol: 0, atol: 0 });
    dispose([params as never, x, expected, actual]);
  });

  it('transformerStack has the last norm that its placement wants', () => {
    expect(treePaths(modelOfLayers(transformerStack(config).layers).specs).at(-1)).toBe('norm.bias');
    expect(Object.keys(transformerStack({ ...config, placement: 'post' }).layers)).toEqual(['blocks']);
  });

  it('transformerStack({ rematerialise: true }) has the same value and gradients', async () => {
    const [plain, again] = [transformerStack(config), transformerStack({ ...config, rematerialise: true })];
    const [params, x] = [modelOfLayers<StackParams>(plain.layers).init({ seed: 1 }), randomNormal([1, 4, 8], { seed: 2 })];
    const loss = (stack: typeof plain) => valueAndGrad((p) => sum(mul(stack.apply(x, p), x)) as Scalar, params);
    const before = memory().numTensors;
    const [a, b] = [loss(plain), loss(again)];
    await expectClose(b.value, a.value);
    const expected = new Map(treeEntries<Tensor>(a.grads));
    for (const [path, grad] of treeEntries<Tensor>(b.grads)) await expectClose(grad, expected.get(path)!, { rtol: 1e-5, atol: 1e-6 });
    dispose([a, b] as never);
    expect(memory().numTensors).toBe(before);
    dispose([params as never, x]);
  });

  it('transformerStack.applyCached continues from the cache as apply sees it at once', async () => {
    const stack = transformerStack(config);
    const [params, x] = [modelOfLayers<StackParams>(stack.layers).init({ seed: 1 }), randomNormal([1, 5, 8], { seed: 2 })];
    const first = stack.applyCached(slice(x, [0, 0, 0], [1, 3, 8]), params, null);
    const second = stack.applyCached(slice(x, [0, 3, 0], [1, 2, 8]), params, first.cache);
    const all = stack.apply(x, params);
    await expectClose(second.y, await slice(all, [0, 3, 0], [1, 2, 8]).data(), { rtol: 1e-5, atol: 1e-6 });
    dispose([params, x, first, second, all] as never);
  });

  it('transformerStack.applyToRows gives those rows of apply, whatever the placement', async () => {
    for (const placement of ['pre', 'post', 'peri', 'deepnorm'] as const) {
      const stack = transformerStack({ ...config, causal: false, placement });
      const [params, x] = [modelOfLayers<StackParams>(stack.layers).init({ seed: 1 }), randomNormal([2, 5, 8], { seed: 2 })];
      const rows = tensor1d([9, 0, 3], 'int32');
      const [some, all] = [stack.applyToRows(x, rows, params), reshape(stack.apply(x, params), [10, 8])];
      expect(some.shape).toEqual([1, 3, 8]);
      await expectClose(some, await reshape(gather(all, rows), [1, 3, 8]).data(), { rtol: 1e-5, atol: 1e-6 });
      dispose([params as never, x, rows, some, all]);
    }
  });

  it('transformerStack.apply(…, { cuSeqlens }) keeps sequences in one row apart, with an attention that has varlen', async () => {
    const varlen: AttentionFn = Object.assign((...call: Parameters<AttentionFn>) => flashAttention(...call), { varlen: flashAttentionVarlen as AttentionFn['varlen'] });
    const stack = transformerStack({ ...config, attention: varlen });
    const [params, x] = [modelOfLayers<StackParams>(stack.layers).init({ seed: 1 }), randomNormal([1, 7, 8], { seed: 2 })];
    const together = stack.apply(x, params, { cuSeqlens: [0, 3, 7] });
    const apart = [stack.apply(slice(x, [0, 0, 0], [1, 3, 8]), params), stack.apply(slice(x, [0, 3, 0], [1, 4, 8]), params)];
    await expectClose(together, concat(apart, 1), { rtol: 1e-5, atol: 1e-6 });
    expect(() => transformerStack(config).apply(x, params, { cuSeqlens: [0, 3, 7] })).toThrow('attention must have varlen where cuSeqlens are given, got one without');
    dispose([params as never, x, together, ...apart]);
  });

  it('transformerStack names a depth or placement that is none', () => {
    expect(() => transformerStack({ ...config, depth: 0 })).toThrow('transformerStack: depth must be an integer ≥ 1, got 0');
    expect(() => transformerStack({ ...config, placement: 'before' as never })).toThrow('transformerStack: placement must be one of');
  });
});

describe('what models share', () => {
  it('checkTechniques names a technique that is no function, of the stack and of the model', () => {
    expect(() => checkTechniques('vit', { norm: 1 as never })).toThrow('vit: norm must be a function such as layerNormLayer(), got number');
    expect(() => checkTechniques('vit', { head: 1 } as never, { head: 'linearLayer()' })).toThrow('vit: head must be a function such as linearLayer()');
    expect(() => checkTechniques('vit', { placement: 'x' as never })).toThrow('vit: placement must be one of');
    expect(() => checkTechniques('vit', {})).not.toThrow();
  });

  it('departuresOf names what was given and is not the own', () => {
    expect(departuresOf({ norm: layerNormLayer, mlp: undefined, placement: 'pre' }, { placement: 'pre' })).toEqual(['norm']);
  });

  it('embeddingLayer(count, dim) has rows of N(0, 0.02²) under the name of its axis', () => {
    const layer = embeddingLayer(7, 3, { axis: 'type' });
    expect(layer.specs).toEqual({ weight: { shape: [7, 3], axes: 'type dim', role: 'embedding' } });
    expect(() => embeddingLayer(0, 3)).toThrow('embeddingLayer: count must be an integer ≥ 1, got 0');
  });
});

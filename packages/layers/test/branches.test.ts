/** What acts on residual branches: layer scale and stochastic depth. */
import { initParams, treePaths, valueAndGrad, type Layer, type Tree } from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import { layerScale, stochasticDepth, transformerBlock, type BranchFactory, type TransformerBlockConfig } from '@evenkeel/layers';
import { layerNormLayer } from '@evenkeel/norms';
import { expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { add, keep, mul, ones, sub, sum, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const config: TransformerBlockConfig = { dim: 8, numHeads: 2, block: 1, depth: 3, norm: layerNormLayer(), attention: flashAttention };
const paramsOf = (layer: Layer) => initParams(layer.specs, 1, layer.initialiserOf) as Tree<Variable>;
const made = (factory: BranchFactory, block: number): { layer: Layer; params: Tree<Tensor> } => {
  const layer = factory(8, { block, residualDepth: 3 });
  return { layer, params: paramsOf(layer) };
};

forEachBackend(() => {
  describe('layerScale({ init })', () => {
    it('multiplies each channel by its own factor, which starts as init and is trained', async () => {
      const { layer, params } = made(layerScale({ init: 0.25 }), 0);
      const x = randomTensor([2, 3, 8]) as Tensor;
      await expectClose(layer.apply(x, params), await mul(x, 0.25).data(), { rtol: 1e-6, atol: 0 });
      const { grads } = valueAndGrad((p: Tree<Variable>) => sum(layer.apply(x, p)), params as Tree<Variable>);
      await expectClose((grads as unknown as { weight: Tensor }).weight, await sum(x, [0, 1]).data(), { rtol: 1e-4, atol: 1e-5 });
      expect(() => layerScale({ init: 0 })).toThrow('layerScale: init must be a positive number, got 0');
    });
  });

  describe('stochasticDepth({ rate })', () => {
    it('leaves out whole sequences at the rate of the block and scales the others up, by the seed alone', async () => {
      const { layer, params } = made(stochasticDepth({ rate: 0.5 }), 1); // 0.25
      const x = ones([4000, 2, 8]) as Tensor;
      const values = Array.from(await layer.apply(x, params, { train: true, seed: 3 }).data());
      const perSequence = Array.from({ length: 4000 }, (_, b) => new Set(values.slice(b * 16, b * 16 + 16)));
      expect(perSequence.every((each) => each.size === 1)).toBe(true);
      const kept = perSequence.filter((each) => !each.has(0));
      expect(Math.abs(kept.length / 4000 - 0.75)).toBeLessThan(0.03);
      expect(kept.every((each) => Math.abs([...each][0]! - 1 / 0.75) < 1e-6)).toBe(true);
      expect(Array.from(await layer.apply(x, params, { train: true, seed: 3 }).data())).toEqual(values);
      expect(Array.from(await layer.apply(x, params, { train: true, seed: 4 }).data())).not.toEqual(values);
    });

    it('does nothing in evaluation and in the first block; elsewhere training needs a seed', async () => {
      const x = randomTensor([3, 2, 8]) as Tensor;
      for (const [block, options] of [[2, {}], [0, { train: true, seed: 1 }]] as const) {
        const { layer, params } = made(stochasticDepth({ rate: 0.9 }), block);
        const y = layer.apply(x, params, options);
        expect(y).not.toBe(x);
        await expectClose(y, await x.data(), { rtol: 0, atol: 0 });
      }
      const { layer, params } = made(stochasticDepth({ rate: 0.9 }), 2);
      expect(() => layer.apply(x, params, { train: true })).toThrow('seed must be given');
      expect(() => stochasticDepth({ rate: 1 })).toThrow('stochasticDepth: rate must be in [0, 1), got 1');
      await expectNoLeak(() => layer.apply(x, params, { train: true, seed: 1 }));
    });
  });

  describe('transformerBlock({ branch })', () => {
    it('has the parameters of the branch and adds what it makes of attention and MLP', async () => {
      const block = transformerBlock({ ...config, branch: layerScale({ init: 0.5 }) });
      expect(treePaths(block.specs).filter((path) => path.startsWith('branch'))).toEqual(['branch1.weight', 'branch2.weight']);
      const params = paramsOf(block);
      const x = randomTensor([2, 5, 8]) as Tensor;
      const [plain, seen] = [transformerBlock(config), new Map<string, Tensor>()];
      const whole = block.apply(x, params, { observe: (name, value) => { seen.set(name, keep(mul(value, 1))); } });
      const onlyAttention = new Map<string, Tensor>();
      plain.apply(x, params, { observe: (name, value) => { onlyAttention.set(name, keep(mul(value, 1))); } });
      await expectClose(seen.get('attn.out')!, await mul(onlyAttention.get('attn.out')!, 0.5).data(), { rtol: 1e-5, atol: 1e-6 });
      await expectClose(whole, await add(add(x, seen.get('attn.out')!), seen.get('mlp.out')!).data(), { rtol: 1e-5, atol: 1e-6 });
    });

    it('with stochasticDepth is x for a sequence whose branches are both left out', async () => {
      const block = transformerBlock({ ...config, block: 2, branch: stochasticDepth({ rate: 0.6, branch: layerScale({ init: 0.9 }) }) });
      const params = paramsOf(block);
      const x = randomTensor([64, 2, 8]) as Tensor;
      const y = block.apply(x, params, { train: true, seed: 5 });
      const changed = Array.from(await sum(mul(sub(y, x), sub(y, x)), [1, 2]).data());
      const same = changed.filter((each) => each === 0).length;
      expect(same).toBeGreaterThan(10); // 0.36 of 64
      expect(same).toBeLessThan(40);
      expect(() => transformerBlock({ ...config, branch: 0.1 as never })).toThrow('transformerBlock: branch must be a function such as stochasticDepth(), got number');
    });

    it('gives its two branches draws of their own', async () => {
      const block = transformerBlock({ ...config, block: 2, branch: stochasticDepth({ rate: 0.5 }) });
      const params = paramsOf(block);
      const sizes = new Map<string, Tensor>();
      block.apply(randomTensor([64, 2, 8]) as Tensor, params, {
        train: true, seed: 5, observe: (name, value) => { if (/^(attn|mlp)\.out$/.test(name)) sizes.set(name, keep(sum(mul(value, value), [1, 2]))); },
      });
      const [attention, mlp] = await Promise.all([...sizes.values()].map(async (each) => Array.from(await each.data()).map((size) => size > 0)));
      expect(attention).not.toEqual(mlp);
    });
  });
});

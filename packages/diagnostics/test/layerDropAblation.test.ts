import { ConfigError, treeEntries, type Tree } from '@evenkeel/core-tensor';
import { layerDropAblation, withoutBlock } from '@evenkeel/diagnostics';
import { gpt, type GptParams, type GptTechniques } from '@evenkeel/models-gpt';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { dispose, ones, randomNormal, tensor1d, tensor2d, tidy, variable, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const SIZES = { vocabSize: 17, contextLength: 9, depth: 3, dim: 12, numHeads: 2 } as const;
const tokens = () => tensor2d([[1, 2, 3, 5, 8, 13, 4], [2, 3, 5, 7, 11, 13, 0]], [2, 7], 'int32');

/** A model whose parameters, also those that start as 0 or 1, are random. */
function shaken(techniques: GptTechniques) {
  const model = gpt({ ...SIZES, ...techniques });
  const params = model.init({ seed: 1 });
  treeEntries<Variable>(params).forEach(([, leaf], i) => tidy(() => leaf.assign(randomNormal(leaf.shape, 0.1, 0.3, 'float32', i + 1) as never)));
  return { model, params: params as Tree<Tensor> };
}

/** The parameters of the model without a block, by leaving it out. */
const cut = (params: Tree<Tensor>, block: number): GptParams => {
  const all = params as unknown as GptParams;
  return { ...all, blocks: all.blocks.filter((_, i) => i !== block) };
};

forEachBackend(() => {
  describe('withoutBlock(params, block)', () => {
    it('is the model with one block fewer, wherever its norms stand', async () => {
      for (const placement of ['pre', 'peri', 'output', 'none'] as const) {
        const { model, params } = shaken({ placement });
        const smaller = gpt({ ...SIZES, depth: 2, placement });
        for (const block of [0, 2]) {
          const { params: left, made } = withoutBlock(params, block);
          await expectClose(model.apply(tokens(), left as unknown as GptParams), smaller.apply(tokens(), cut(params, block)), { atol: 1e-4, rtol: 1e-4 });
          dispose(made);
        }
      }
    });

    it('is the model whose block adds nothing, where blocks know their index (LayerNorm Scaling)', async () => {
      const { model, params } = shaken({ placement: 'lns' });
      const silenced = gpt({ ...SIZES, placement: { input: true, final: true, inputScale: ({ block }) => 1 / Math.sqrt(block + 1), outputScale: ({ block }) => (block === 1 ? 0 : 1) } });
      const { params: left } = withoutBlock(params, 1);
      await expectClose(model.apply(tokens(), left as unknown as GptParams), silenced.apply(tokens(), params as unknown as GptParams), { atol: 1e-4, rtol: 1e-4 });
    });

    it('replaces few leaves, and of a reparametrised weight the factor', () => {
      const x = ones([1]);
      const params = { blocks: [{ attn: { qkv: { weight: x }, proj: { weight: x, gamma: x, bias: x } }, mlp: { down: { weight: x } } }] };
      const { params: left, made } = withoutBlock(params, 0);
      const changed = treeEntries<Tensor>(left).filter(([, leaf]) => leaf !== x).map(([path]) => path);
      expect(changed).toEqual(['blocks.0.attn.proj.gamma', 'blocks.0.attn.proj.bias', 'blocks.0.mlp.down.weight']);
      expect(made).toHaveLength(3);
    });

    it('refuses blocks that are not there', () => {
      expect(() => withoutBlock({ blocks: [] }, 1)).toThrow(new ConfigError('withoutBlock: params must have a blocks.1 with attn.proj and mlp.down, got 0 parameters of it'));
    });
  });

  describe('layerDropAblation(evaluate, params)', () => {
    it('gives the change of the measure without each block, and leaves the parameters as they are', async () => {
      const { model, params } = shaken({});
      const batch = { inputs: tokens(), targets: tokens() };
      const evaluate = async (p: Tree<Tensor>): Promise<number> => {
        const loss = model.loss(batch, p as unknown as GptParams);
        const [value] = await loss.data();
        loss.dispose();
        return value as number;
      };
      const smaller = gpt({ ...SIZES, depth: 2 });
      const without = await Promise.all([0, 1, 2].map(async (block) => (await smaller.loss(batch, cut(params, block)).data())[0] as number));
      const { full, drops } = await layerDropAblation(evaluate, params);
      expect(full).toBe(await evaluate(params));
      drops.forEach((drop, block) => expect(drop).toBeCloseTo(without[block]! - full, 4));
      expect(new Set(drops).size).toBe(3);
    });

    it('frees what it made, also when a measure fails', async () => {
      const { params } = shaken({});
      let calls = 0;
      const failing = (): number => {
        calls += 1;
        if (calls === 3) throw new Error('no data');
        return 0;
      };
      await expectNoLeak(() => layerDropAblation(failing, params).then(() => undefined), { throws: 'no data' });
      await expectNoLeak(() => layerDropAblation(() => 1, params).then(() => undefined));
    });

    it('takes another way to leave a block out', async () => {
      const gains = variable(tensor1d([1, 2, 3]));
      const params = { blocks: [gains, gains, gains] };
      const found = await layerDropAblation((p) => (p as { blocks: unknown[] }).blocks.length, params, (p, block) => ({ params: { blocks: (p as unknown as { blocks: Tensor[] }).blocks.slice(block) }, made: [] }));
      expect(found).toEqual({ full: 3, drops: [0, -1, -2] });
    });

    it('refuses parameters without blocks', async () => {
      await expect(layerDropAblation(() => 0, { weight: ones([1]) })).rejects.toThrow(new ConfigError('layerDropAblation: params must have a list blocks, got weight'));
    });
  });
});

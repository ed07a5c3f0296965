import { sub, tensor2d, tidy, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { treeEntries, valueAndGrad, type GradientTransform, type Tree } from '@evenkeel/core-tensor';
import { gatedMlpLayer } from '@evenkeel/layers';
import { gpt, type Gpt, type GptParams, type GptSizes, type GptTechniques } from '@evenkeel/models-gpt';
import { coalesce, decoalesce, interpolate, type MapOptions } from '@evenkeel/multilevel';
import { dynamicTanhLayer, qkNorm, rmsNormLayer } from '@evenkeel/norms';
import { adamw, applyUpdates, sgd } from '@evenkeel/optimizers';
import { sigmaReparam } from '@evenkeel/sigma-reparam';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { free, randomParams, valuesOf } from './helpers.ts';

type Options = Partial<GptSizes> & GptTechniques;

const model = (options: Options = {}): Gpt => gpt({ vocabSize: 13, contextLength: 9, depth: 2, dim: 12, numHeads: 2, tiedHead: false, ...options });
const wide = { dim: 24, numHeads: 4 };
const tokens = (): Tensor2D => tensor2d([[1, 5, 2, 0, 12], [3, 3, 4, 1, 1]], [2, 5], 'int32');
const asGpt = (params: unknown): GptParams => params as GptParams;

/** What differs between the models, and what the two have in common. */
const CASES: [title: string, both: Options, small: Options, large: Options, options?: MapOptions][] = [
  ...(['pre', 'post', 'peri', 'output', 'lns', 'deepnorm', 'none'] as const).map((placement) =>
    [`placement ${placement}`, { placement }, {}, wide] as (typeof CASES)[number]),
  ['neighbours merged', {}, {}, wide, { widthGrouping: 'adjacent' }],
  ['three heads for one', { bias: false }, {}, { dim: 36, numHeads: 6 }],
  ['RMSNorm and qk-norm', { norm: rmsNormLayer(), qkNorm: qkNorm({ bias: true }) }, {}, wide],
  ['grouped-query attention, both kinds of head halved', {}, { numHeads: 4, numKvHeads: 2 }, { dim: 24, numHeads: 8, numKvHeads: 4 }],
  ['one key head in both', {}, { numKvHeads: 1 }, { ...wide, numKvHeads: 1 }],
  ['key heads kept, neighbours merged', {}, { numHeads: 4, numKvHeads: 2 }, { dim: 24, numHeads: 8, numKvHeads: 2 }, { widthGrouping: 'adjacent' }],
  ['a gated MLP with uneven groups', {}, { mlp: gatedMlpLayer({ hiddenDim: 20 }) }, { ...wide, mlp: gatedMlpLayer({ hiddenDim: 31 }) }],
  ['an MLP of one size', { hiddenDim: 17 }, {}, wide],
  ['weights over their spectral norm', { linear: sigmaReparam({ initIterations: 500 }) }, {}, wide],
  ['a head and an MLP whose spectral norms grow', { linear: sigmaReparam({ initIterations: 500 }), head: sigmaReparam({ bias: false, initIterations: 500 }), hiddenDim: 17 }, {}, wide],
  ['dynamicTanh in place of norms', { norm: dynamicTanhLayer() }, {}, wide],
  ['a tied head with a factor of the logits', { tiedHead: true }, { logitScale: 2 }, wide, { logitScale: { small: 2 } }],
  ['a tied head with the factor in the large model', { tiedHead: true }, {}, { ...wide, logitScale: 0.5 }, { logitScale: { large: 0.5 } }],
];

forEachBackend((backend) => {
  describe('decoalesce in width', () => {
    it.each(CASES)('keeps the logits of a GPT: %s', async (_, both, small, large, options) => {
      const [from, to, ids] = [model({ ...both, ...small }), model({ ...both, ...large }), tokens()];
      const params = randomParams(from.specs);
      const grown = decoalesce(params, from.specs, to.specs, options);
      const states = [from.state.init(params), to.state.init(grown)] as const;
      const [expected, actual] = [from.apply(ids, asGpt(params), { state: states[0] }), to.apply(ids, asGpt(grown), { state: states[1] })];
      await expectClose(actual, expected, { rtol: 1e-5, atol: 1e-5 });
      const back = coalesce(grown, to.specs, from.specs, options);
      const isPower = large.dim === 24 && large.mlp === undefined && both.head === undefined;
      if (isPower) expect(await valuesOf(back)).toEqual(await valuesOf(params));
      else for (const [path, values] of Object.entries(await valuesOf(params))) await expectClose(Float32Array.from((await valuesOf(back))[path]!), Float32Array.from(values), { rtol: 3e-7 });
      free(params, grown, back, expected, actual, ids, states);
    });

    it('a tied head without the factor would not keep them, and blocks that act twice do not either', async () => {
      const ids = tokens();
      const gapOf = async (from: Gpt, to: Gpt, options?: MapOptions, computed = to): Promise<number> => {
        const params = randomParams(from.specs);
        const grown = decoalesce(params, from.specs, to.specs, options);
        const gap = tidy(() => sub(computed.apply(ids, asGpt(grown)), from.apply(ids, asGpt(params))));
        const largest = Math.max(...Array.from(await gap.data(), Math.abs));
        free(params, grown, gap);
        return largest;
      };
      const tied = { tiedHead: true, ...wide };
      expect(await gapOf(model({ tiedHead: true }), model({ ...tied, logitScale: 0.5 }), { logitScale: { large: 0.5 } }, model(tied))).toBeGreaterThan(0.1);
      expect(await gapOf(model(), model({ depth: 4 }))).toBeGreaterThan(0.1);
      free(ids);
    });
  });

  describe('training after alpha = 1', () => {
    const [small, large] = [model({ hiddenDim: 20 }), model({ ...wide, hiddenDim: 40 })];
    const COPIES = ['blocks.0.mlp.up.weight', 'blocks.1.attn.proj.weight', 'tokenEmbedding.weight', 'blocks.0.norm1.weight', 'head.weight', 'blocks.1.mlp.down.weight', 'blocks.1.attn.qkv.bias'];

    /** Largest difference between a value and its copy, over that of all values. */
    const asymmetryOf = (values: Record<string, number[]>): number => Math.max(...COPIES.map((path) => {
      const { shape, parts = [] } = specOf(path);
      const all = values[path]!;
      const scale = Math.max(...all.map(Math.abs));
      const [axis, columns] = [shape.length - 1, shape.at(-1)!];
      const isOutput = ['blocks.0.mlp.up.weight', 'blocks.0.norm1.weight'].includes(path);
      const partnerOf = (i: number): number => {
        if (parts.length > 0) return (i % 24) < 12 ? i + 12 : i - 12; // q, k and v have 24 each
        if (axis === 1 && isOutput) return Math.floor(i / columns) < shape[0]! / 2 ? i + (shape[0]! / 2) * columns : i - (shape[0]! / 2) * columns;
        return (i % columns) < columns / 2 ? i + columns / 2 : i - columns / 2;
      };
      return Math.max(...all.map((each, i) => Math.abs(each - all[partnerOf(i)]!))) / scale;
    }));
    const specOf = (path: string) => new Map(treeEntries<{ shape: number[]; parts?: number[] }>(large.specs as never)).get(path)!;
    const gradients = (params: Tree<Tensor>) => {
      const batch = { inputs: tokens(), targets: tensor2d([[5, 2, 0, 12, 7], [3, 4, 1, 1, 0]], [2, 5], 'int32') };
      const { value, grads } = valueAndGrad((p) => large.loss(batch, asGpt(p)), params as never);
      free(value, batch);
      return grads as Tree<Tensor>;
    };
    const start = (alpha: number) => {
      const [saved, params] = [randomParams(large.specs, { seed: 7 }), randomParams(small.specs)];
      const grown = decoalesce(params, small.specs, large.specs);
      const between = interpolate(saved, grown, alpha);
      free(saved, params, grown);
      return between;
    };

    it('copies have equal gradients, and with alpha < 1 they differ', async () => {
      const copied = start(1);
      const grads = gradients(copied);
      expect(asymmetryOf(await valuesOf(grads))).toBeLessThan(1e-5);
      free(copied, grads);
      const mixed = start(0.5);
      const other = gradients(mixed);
      expect(asymmetryOf(await valuesOf(other))).toBeGreaterThan(0.1);
      free(mixed, other);
    });

    it.each([['AdamW', adamw({ learningRate: 1e-2, weightDecay: 0.1 })], ['SGD', sgd({ learningRate: 1e-1 })]] as [string, GradientTransform][])('copies are still equal after ten steps of %s; with alpha < 1 they never were', async (_, optimizer) => {
      for (const alpha of [1, 0.5]) {
        const params = start(alpha);
        const before = await valuesOf(params);
        const state = optimizer.init(params as never);
        for (let i = 0; i < 10; i++) {
          tidy(() => {
            const grads = gradients(params);
            applyUpdates(params, optimizer.update(grads as never, state, params as never));
          });
        }
        const after = await valuesOf(params);
        const moved = Math.max(...COPIES.map((path) => Math.max(...after[path]!.map((each, i) => Math.abs(each - before[path]![i]!)))));
        expect(moved).toBeGreaterThan(1e-2);
        if (alpha === 1) expect(asymmetryOf(after), backend).toBeLessThan(1e-4);
        else expect(asymmetryOf(after)).toBeGreaterThan(0.1);
        free(params, state);
      }
    });
  });
});

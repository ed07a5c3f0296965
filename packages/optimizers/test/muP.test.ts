import { type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { initParams, treeEntries, truncatedNormal, type Initialiser, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { adamw, muP } from '@evenkeel/optimizers';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free, snapshot } from './helpers.ts';

/** A small transformer's specs, its MLP four times as wide as its residual stream. */
const specsOf = (dim: number): Tree<ParamSpec> => ({
  embedding: { shape: [11, dim], axes: 'vocab dim', role: 'embedding' },
  blocks: [{
    norm: { shape: [dim], axes: 'dim', role: 'norm', block: 0 },
    qkv: { weight: { shape: [3 * dim, dim], axes: 'qkv dim', parts: [dim, dim, dim], headDim: 4, role: 'hidden', block: 0, fanIn: dim }, bias: { shape: [3 * dim], axes: 'qkv', parts: [dim, dim, dim], headDim: 4, role: 'bias', block: 0 } },
    down: { shape: [dim, 4 * dim], axes: 'dim hidden', role: 'hidden', block: 0, fanIn: 4 * dim },
  }],
  head: { weight: { shape: [11, dim], axes: 'vocab dim', role: 'head', fanIn: dim } },
});
const standard = (spec: ParamSpec): Initialiser => truncatedNormal({ std: 1 / Math.sqrt(spec.fanIn ?? 1) });
const paramsOf = (dim: number) => initParams(specsOf(dim), 5, standard);

it('muP(specs) at the base width changes no learning rate', () => {
  for (const scales of [muP(specsOf(16), { baseWidth: 16 }), muP(specsOf(16), { baseSpecs: specsOf(16) })].map((each) => each.learningRateScales)) {
    expect(treeEntries<number>(scales).map(([, scale]) => scale)).toEqual([1, 1, 1, 1, 1, 1]);
  }
});

it('muP(specs) at four times the width quarters the learning rate of linear maps, head included, and of nothing else', () => {
  const expected = { embedding: 1, blocks: [{ norm: 1, qkv: { weight: 0.25, bias: 1 }, down: 0.25 }], head: { weight: 0.25 } };
  expect(muP(specsOf(64), { baseWidth: 16 }).learningRateScales).toEqual(expected);
  expect(muP(specsOf(64), { baseSpecs: specsOf(16), variant: 'full' }).learningRateScales).toEqual(expected);
});

forEachBackend(() => {
  it('muP(specs).learningRateScales make the update of a hidden matrix of four times the width a quarter of the plain one', async () => {
    const specs = specsOf(16);
    const params = paramsOf(16);
    const grads = initParams(specs, 6, () => truncatedNormal({ std: 1 }));
    const [plain, scaled] = await Promise.all([undefined, muP(specs, { baseWidth: 4 }).learningRateScales].map(async (learningRateScales) => {
      const optimizer = adamw({ learningRate: 0.01, weightDecay: 0.1, learningRateScales });
      const state = optimizer.init(params);
      const updates = optimizer.update(grads as Tree<Tensor>, state, params);
      const values = await snapshot(updates) as Record<string, number[]>;
      free(state, updates);
      return values;
    }));
    await expectClose(Float32Array.from(scaled!['blocks.0.down']!), plain!['blocks.0.down']!.map((value) => value / 4));
    expect(scaled!['blocks.0.norm']).toEqual(plain!['blocks.0.norm']);
    free(params, grads);
  });

  it('muP(specs, { variant: intermediate }).prepare(params) draws the head anew, at the base width as the standard does', async () => {
    const [same, wide] = [paramsOf(16), paramsOf(64)];
    const before = [await snapshot(same), await snapshot(wide)] as Record<string, number[]>[];
    muP(specsOf(16), { baseWidth: 16, variant: 'intermediate' }).prepare(same, { seed: 5 });
    await expectClose((same as unknown as { head: { weight: Variable } }).head.weight, [...Array(11)].map((_, r) => before[0]!['head.weight']!.slice(16 * r, 16 * r + 16)), { rtol: 1e-6 });
    muP(specsOf(64), { baseWidth: 16, variant: 'intermediate' }).prepare(wide, { seed: 5 });
    const after = await snapshot(wide) as Record<string, number[]>;
    await expectClose(Float32Array.from(after['head.weight']!), before[1]!['head.weight']!.map((value) => value / 2), { rtol: 1e-6 });
    expect({ ...after, 'head.weight': 0 }).toEqual({ ...before[1], 'head.weight': 0 });
    free(same, wide);
  });

  it('muP(specs, { variant: full }).prepare(params) starts queries, and only them, at zero', async () => {
    const params = paramsOf(8);
    const before = await snapshot(params) as Record<string, number[]>;
    muP(specsOf(8), { baseWidth: 8, variant: 'full' }).prepare(params, { seed: 5 });
    const after = await snapshot(params) as Record<string, number[]>;
    expect(after['blocks.0.qkv.weight']).toEqual(before['blocks.0.qkv.weight']!.map((value, i) => (i < 64 ? 0 : value)));
    expect(after['blocks.0.qkv.bias']!.slice(0, 8).every((value) => value === 0)).toBe(true);
    expect(after['blocks.0.qkv.bias']!.slice(8)).toEqual(before['blocks.0.qkv.bias']!.slice(8));
    expect(after['blocks.0.down']).toEqual(before['blocks.0.down']);
    free(params);
  });
});

it('muP(specs, { variant }) says how attention is to be scaled, and simple leaves parameters alone', async () => {
  expect(muP(specsOf(8), { baseWidth: 8 }).attentionScale).toBeUndefined();
  expect(muP(specsOf(8), { baseWidth: 8, variant: 'intermediate' }).attentionScale).toBeUndefined();
  expect(muP(specsOf(8), { baseWidth: 8, variant: 'full' }).attentionScale).toBe(0.25);
  const params = paramsOf(8);
  const before = await snapshot(params);
  muP(specsOf(8), { baseWidth: 4 }).prepare(params, { seed: 5 });
  expect(await snapshot(params)).toEqual(before);
  free(params);
});

it('muP(specs, options) names what is missing', () => {
  const { embedding, blocks } = specsOf(8) as unknown as { embedding: ParamSpec; blocks: Tree<ParamSpec> };
  expect(() => muP(specsOf(8), { baseWidth: 1.5 })).toThrow('muP: baseWidth must be an integer ≥ 1, got 1.5');
  expect(() => muP(specsOf(8), { baseWidth: 8, variant: 'half' as 'full' })).toThrow('muP: variant must be one of simple, intermediate, full, got half');
  expect(() => muP({ embedding, blocks }, { baseWidth: 8, variant: 'intermediate' })).toThrow('muP: specs must have a head, got a model without one. Use variant simple');
  expect(() => muP({ head: (specsOf(8) as { head: Tree<ParamSpec> }).head }, { baseWidth: 8, variant: 'full' })).toThrow('muP: specs must have qkv maps of one headDim, got none');
  expect(() => muP(specsOf(8), { baseSpecs: { embedding, blocks } })).toThrow('muP: baseSpecs must have a leaf for head.weight, got 5 others');
  const other = { ...embedding, shape: [11, 9] };
  expect(() => muP({ embedding, other }, { baseWidth: 8 })).toThrow('muP: specs must have one size of the axis dim, got 8, 9. Use baseSpecs.');
});

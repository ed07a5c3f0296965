import { dispose, mul, sum, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { initParams, param, randomNormal, treeFromEntries, treePaths, valueAndGrad, type Params } from '@evenkeel/core-tensor';
import { foldLora, isAdapter, linear, linearLayer, lora, splitParams } from '@evenkeel/layers';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';

const place = { outAxis: 'qkv', inAxis: 'dim', parts: [4, 2, 2] } as const;
const [inDim, outDim] = [3, 8];
/** A layer whose B is not 0 any more. */
function trained(options = { rank: 2, alpha: 6 }) {
  const layer = lora(options)(inDim, outDim, place);
  const params = initParams(layer.specs, 1, layer.initialiserOf) as Params & Record<'weight' | 'bias' | 'loraA' | 'loraB', Tensor>;
  const noise = randomNormal([outDim, options.rank], { seed: 2 });
  const loraB = param(() => mul(noise, 1));
  dispose(noise);
  return { layer, params: { ...params, loraB } as unknown as typeof params };
}

describe('lora', () => {
  it('lora(…) has A and B for each part, and leaves other maps as they are', () => {
    const layer = lora({ rank: 2 })(inDim, outDim, place);
    expect(layer.specs).toMatchObject({ loraA: { shape: [6, 3], parts: [2, 2, 2] }, loraB: { shape: [8, 2], parts: [4, 2, 2] } });
    expect(treePaths(lora()(3, 8, { outAxis: 'hidden', inAxis: 'dim' }).specs)).toEqual(['weight', 'bias']);
    expect(treePaths(lora({ targets: ['hidden dim'] })(3, 8, { outAxis: 'hidden', inAxis: 'dim' }).specs)).toEqual(['weight', 'bias', 'loraA', 'loraB']);
    expect(['loraA', 'blocks.0.attn.qkv.loraB', 'blocks.0.attn.qkv.weight'].map(isAdapter)).toEqual([true, true, false]);
  });

  it('lora names options out of range', () => {
    expect(() => lora({ rank: 0 })).toThrow('lora: rank must be an integer ≥ 1, got 0');
    expect(() => lora({ alpha: -1 })).toThrow('lora: alpha must be a positive number, got -1');
    expect(() => lora({ linear: 1 as never })).toThrow('lora: linear must be a function such as linearLayer(), got number');
    expect(() => foldLora(linearLayer()(2, 2).specs, { weight: param(() => randomNormal([2, 2], { seed: 1 })) })).toThrow('foldLora: params must have adapters, got none');
    expect(() => splitParams({ weight: param(() => randomNormal([2, 2], { seed: 1 })) }, isAdapter)).toThrow('splitParams: isTrained must choose a parameter, got none of 1');
  });
});

forEachBackend(() => {
  it('lora(…).apply starts as the map that it is added to', async () => {
    const layer = lora({ rank: 2 })(inDim, outDim, place);
    const params = initParams(layer.specs, 1, layer.initialiserOf) as unknown as { weight: Tensor; bias: Tensor };
    const x = randomNormal([5, inDim], { seed: 3 });
    await expectClose(layer.apply(x, params), linear(x, params), { rtol: 0, atol: 0 });
  });

  it('foldLora gives the plain map that computes the same', async () => {
    const { layer, params } = trained();
    const plain = linearLayer()(inDim, outDim, place);
    const folded = treeFromEntries(plain.specs, Object.entries(foldLora(layer.specs, params, { alpha: 6 }))) as unknown as { weight: Tensor };
    const x = randomNormal([5, inDim], { seed: 3 });
    await expectClose(plain.apply(x, folded), layer.apply(x, params), { rtol: 1e-5, atol: 1e-5 });
    const [scaled, a, b] = [await folded.weight.data(), await params.loraA.array() as number[][], await params.loraB.array() as number[][]];
    const weight = await params.weight.data();
    const product = (o: number, i: number): number => b[o]!.reduce((total, value, r) => total + value * a[(o < 4 ? 0 : o < 6 ? 2 : 4) + r]![i]!, 0);
    await expectClose(scaled as Float32Array, Float64Array.from({ length: 24 }, (_, j) => weight[j]! + 3 * product(Math.floor(j / 3), j % 3)), { rtol: 1e-4, atol: 1e-5 });
  });

  it('splitParams(params, isAdapter) trains A and B alone, with the gradients that they have among all', async () => {
    const { layer, params } = trained();
    const x = randomNormal([5, inDim], { seed: 3 });
    const weights = randomNormal([5, outDim], { seed: 4 });
    const loss = (p: unknown): Scalar => sum(mul(layer.apply(x, p as Params), weights)) as Scalar;
    const { trained: adapters, join } = splitParams(params, isAdapter);
    const some = valueAndGrad((p) => loss(join(p)), adapters).grads as unknown as Record<string, Tensor>;
    const all = valueAndGrad(loss, params).grads as unknown as Record<string, Tensor>;
    expect(Object.keys(some)).toEqual(['loraA', 'loraB']);
    for (const [name, grad] of Object.entries(some)) await expectClose(grad, all[name]!, { rtol: 0, atol: 0 });
    await expectNoLeak(() => layer.apply(x, params));
  });

  it('lora({ dropout }) drops inputs of what is added alone, by the seed', async () => {
    const layer = lora({ rank: 2, dropout: 0.5 })(inDim, outDim, place);
    const { params } = trained();
    const x = randomNormal([5, inDim], { seed: 3 });
    const [a, b, c] = [{ train: true, seed: 1 }, { train: true, seed: 1 }, {}].map((call) => layer.apply(x, params, call));
    await expectClose(a!, b!, { rtol: 0, atol: 0 });
    expect(await a!.data()).not.toEqual(await c!.data());
  });
});

import { initParams, treeEntries, valueAndGrad, zeros as startAtZero, type LinearFactory, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { adaLayerNorm, adaLayerNormLayer, layerNorm, type AdaLayerNormLayer } from '@evenkeel/norms';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, layerNorm64, linear64, randomTensor, silu64 } from '@evenkeel/testing';
import { add, dispose, matMul, mul, reshape, sum, tile, tidy, zeros, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

/** A linear map of the simplest kind, `b e` to `b o`, which says where it was asked to stand. */
const linear: LinearFactory = (inDim, outDim, { outAxis, inAxis, parts, block } = {}) => ({
  specs: {
    weight: { shape: [outDim, inDim], axes: `${outAxis} ${inAxis}`, role: 'hidden', ...(parts && { parts }), ...(block !== undefined && { block }) },
    bias: { shape: [outDim], axes: outAxis!, role: 'bias' },
  },
  initialiserOf: () => () => { throw new Error('a modulation starts at 0'); },
  apply: (x, params) => {
    const { weight, bias } = params as { weight: Tensor2D; bias: Tensor };
    return tidy(() => add(matMul(x as Tensor2D, weight, false, true), bias));
  },
});

type Flat<T> = { x: T; condition: T; weight: T; bias: T };
const [B, T, C, E] = [2, 3, 4, 5];
const makeInputs = (parts: number): Flat<Tensor> => ({
  x: randomTensor([B, T, C]), condition: randomTensor([B, E], { seed: 2 }), weight: randomTensor([parts * C, E], { seed: 3 }), bias: randomTensor([parts * C], { seed: 4 }),
});

/** x + gate · cube(adaLayerNorm(x)) in float64, or adaLayerNorm(x) alone; the sub-layer is the cube. */
function around64({ x, condition, weight, bias }: Flat<ArrayLike<number>>, parts: number, alone: boolean): Float64Array {
  const modulation = linear64(silu64(condition), weight, bias, E);
  const at = (i: number, part: number): number => modulation[Math.floor(i / (T * C)) * parts * C + part * C + (i % C)]!;
  return layerNorm64(x, C, { eps: 1e-6 }).map((value, i) => {
    const normed = (1 + at(i, 1)) * value + at(i, 0);
    return alone ? normed : x[i]! + (parts === 3 ? at(i, 2) : 1) * normed ** 3;
  });
}

const cube = (z: Tensor): Tensor => tidy(() => mul(mul(z, z), z));
const applied = (layer: AdaLayerNormLayer, { x, condition, ...params }: Flat<Tensor>, alone: boolean): Tensor =>
  (alone ? layer.apply([x, condition], params) : layer.around([x, condition], params, cube));

forEachBackend(() => {
  it('adaLayerNorm(x) with shift and scale 0 is layerNorm(x)', async () => {
    const [x, zero] = [randomTensor([2, 5, 7], { std: 2 }), zeros([2, 7])];
    const [y, expected] = [adaLayerNorm(x, { shift: zero, scale: zero }), layerNorm(x, {}, { eps: 1e-6 })];
    await expectClose(y, expected, { rtol: 0, atol: 0 });
    dispose([x, zero, y, expected]);
  });

  it('adaLayerNorm(x) gives the same for one modulation per sequence as for that one at every position', async () => {
    const [x, shift, scale] = [randomTensor([2, 5, 7]), randomTensor([2, 7], { seed: 2 }), randomTensor([2, 7], { seed: 3 })];
    const [y, spread] = [adaLayerNorm(x, { shift, scale }), tidy(() => {
      const everywhere = (z: Tensor) => tile(reshape(z, [2, 1, 7]), [1, 5, 1]);
      return adaLayerNorm(x, { shift: everywhere(shift), scale: everywhere(scale) });
    })];
    await expectClose(spread, y, { rtol: 0, atol: 0 });
    dispose([x, shift, scale, y, spread]);
  });

  it.each([true, false])('adaLayerNormLayer({ gate: %s }) agrees with the float64 oracle, gradients included, alone and around a sub-layer', async (gate) => {
    const parts = gate ? 3 : 2;
    const layer = adaLayerNormLayer({ linear, conditionDim: E, gate })(C);
    const inputs = makeInputs(parts);
    for (const alone of [true, false]) {
      const y = applied(layer, inputs, alone);
      const values = Object.fromEntries(await Promise.all(Object.entries(inputs).map(async ([name, each]) => [name, await each.data()]))) as Flat<ArrayLike<number>>;
      await expectClose(y, around64(values, parts, alone), { rtol: 1e-4, atol: 1e-4 });
      await checkOpGrad<keyof Flat<Tensor>>({ op: (p) => applied(layer, p, alone), oracle64: (p) => around64(p, parts, alone), inputs, rtol: 5e-4 });
      dispose(y);
    }
    dispose(inputs);
  });

  it('adaLayerNormLayer(options) starts as a block that adds nothing and hands gradients on unchanged, but its own parameters learn', async () => {
    const layer = adaLayerNormLayer({ linear })(C);
    const params = initParams(layer.specs, 1, layer.initialiserOf);
    const [x, condition, weights] = [randomTensor([B, T, C]), randomTensor([B, C], { seed: 2 }), randomTensor([B, T, C], { seed: 3 })] as [Tensor, Tensor, Tensor];
    const y = layer.around([x, condition], params, cube);
    await expectClose(y, x, { rtol: 0, atol: 0 });
    const { value, grads } = valueAndGrad((p: { x: Tensor; own: typeof params }) => sum(mul(weights, layer.around([p.x, condition], p.own, cube))), { x, own: params });
    await expectClose(grads.x, weights, { rtol: 0, atol: 0 });
    const ofBias = await (grads.own as Record<string, Tensor>)['bias']!.data() as Float32Array;
    expect(ofBias.slice(0, 2 * C).every((each) => each === 0)).toBe(true); // shift and scale wait for the gate
    expect(ofBias.slice(2 * C).every((each) => each !== 0)).toBe(true);
    dispose([params as never, x, condition, weights, y, value, grads as never]);
  });

  it('adaLayerNormLayer(options) adds exactly its results and frees the rest, also on error and in gradients', async () => {
    const layer = adaLayerNormLayer({ linear, conditionDim: E })(C);
    const { x, condition, ...params } = makeInputs(3);
    await expectNoLeak(() => layer.apply([x, condition], params));
    await expectNoLeak(() => layer.modulate(condition, params));
    await expectNoLeak(() => layer.around([x, condition], params, cube));
    await expectNoLeak(() => layer.around([x, condition], params, () => { throw new Error('stop'); }), { throws: 'stop' });
    await expectNoLeak(() => valueAndGrad((p: Record<string, Tensor>) => sum(layer.around([x, condition], p, cube)), params));
    dispose([x, condition, params]);
  });
});

describe('adaLayerNormLayer', () => {
  it('adaLayerNormLayer(options) says what its map is: shift, scale and gate, from a condition', () => {
    const specsOf = (gate?: boolean) => Object.fromEntries(treeEntries(adaLayerNormLayer({ linear, conditionDim: 6, ...(gate !== undefined && { gate }) })(4, { block: 2 }).specs as Tree<ParamSpec>));
    expect(specsOf()['weight']).toEqual({ shape: [12, 6], axes: 'modulation condition', parts: [4, 4, 4], role: 'hidden', block: 2 });
    expect(specsOf(false)['weight']).toMatchObject({ shape: [8, 6], parts: [4, 4] });
  });

  it('adaLayerNormLayer(options) hands on the untrained values of its linear', () => {
    const state = { init: () => ({}), update: () => {} };
    const stateful: LinearFactory = (inDim, outDim, place) => ({ ...linear(inDim, outDim, place), state, initialiserOf: () => startAtZero });
    expect(adaLayerNormLayer({ linear: stateful })(4).state).toBe(state);
    expect('state' in adaLayerNormLayer({ linear })(4)).toBe(false);
  });

  it('adaLayerNorm and its layer name what is wrong', () => {
    const [x, row, good, other, integers] = [zeros([2, 3, 4]), zeros([4]), zeros([2, 4]), zeros([3, 4]), zeros([2, 4], 'int32')];
    expect(() => adaLayerNorm(row, { shift: good, scale: good })).toThrow('adaLayerNorm: x must have rank ≥ 2, got shape [4]');
    expect(() => adaLayerNorm(x, { shift: other, scale: good })).toThrow('adaLayerNorm: shift must have shape [2, 4], got [3, 4]');
    expect(() => adaLayerNorm(x, { shift: good, scale: row })).toThrow('adaLayerNorm: scale must have shape [2, 4], got [4]');
    expect(() => adaLayerNorm(x, { shift: good, scale: integers })).toThrow('adaLayerNorm: scale must have dtype float32, got int32');
    expect(() => adaLayerNormLayer({ linear, eps: 0 })).toThrow('adaLayerNormLayer: eps must be a positive number, got 0');
    expect(() => adaLayerNormLayer({ linear, conditionDim: 0 })).toThrow('adaLayerNormLayer: conditionDim must be an integer ≥ 1, got 0');
    expect(() => adaLayerNormLayer({ linear: undefined as never })).toThrow('adaLayerNormLayer: linear must be a function such as linearLayer(), got undefined');
    expect(() => adaLayerNormLayer({ linear })(0)).toThrow('adaLayerNormLayer: dim must be an integer ≥ 1, got 0');
    dispose([x, row, good, other, integers]);
  });
});

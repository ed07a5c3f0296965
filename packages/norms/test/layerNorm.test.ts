import { initParams, treePaths } from '@evenkeel/core-tensor';
import { initLayerNorm, layerNorm, layerNormLayer } from '@evenkeel/norms';
import { expectClose, expectNoLeak, forEachBackend, randomArray } from '@evenkeel/testing';
import { dispose, tensor, tensor1d, zeros } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

forEachBackend(() => {
  it('layerNorm(x) gives rows of mean 0 and variance 1', async () => {
    const x = tensor(randomArray(5 * 130, { std: 3, mean: -2 }), [5, 130]);
    const y = layerNorm(x, {});
    const values = await y.data();
    for (let r = 0; r < 5; r++) {
      const row = Array.from(values.slice(r * 130, (r + 1) * 130));
      expect(row.reduce((a, b) => a + b) / 130).toBeCloseTo(0, 5);
      expect(row.reduce((a, b) => a + b * b, 0) / 130).toBeCloseTo(1, 4);
    }
    dispose([x, y]);
  });

  it('layerNorm(a·x + b) equals layerNorm(x) for every a > 0 when eps → 0', async () => {
    await fc.assert(fc.asyncProperty(fc.double({ min: 0.1, max: 100, noNaN: true }), fc.double({ min: -3, max: 3, noNaN: true }), fc.nat(1000), async (a, b, seed) => {
      const values = randomArray(2 * 17, { seed });
      const [x, moved] = [tensor(values, [2, 17]), tensor(values.map((value) => a * (value + b)), [2, 17])];
      const [y, z] = [layerNorm(x, {}, { eps: 1e-12 }), layerNorm(moved, {}, { eps: 1e-12 })];
      await expectClose(z, y, { rtol: 1e-4, atol: 2e-5 });
      dispose([x, moved, y, z]);
    }), { numRuns: 20, seed: 1 });
  });

  it('layerNorm(x) of rows far from 0 still sees their spread', async () => {
    const x = tensor([[1000, 1001, 1002, 1003]]);
    const y = layerNorm(x, {});
    await expectClose(y, [[-1.341635, -0.447212, 0.447212, 1.341635]], { rtol: 1e-4 });
    dispose([x, y]);
  });

  it('layerNorm(x, { bias }) works without a weight', async () => {
    const [x, bias] = [tensor([[1, 2, 3]]), tensor1d([10, 20, 30])];
    const y = layerNorm(x, { bias });
    await expectClose(y, [[10 - Math.sqrt(1.5), 20, 30 + Math.sqrt(1.5)]], { rtol: 1e-4 });
    dispose([x, bias, y]);
  });
});

describe('layerNorm', () => {
  it('layerNorm([2, 5]) with 4 weights names x, [..., 4] and [2, 5]', () => {
    const [x, weight] = [zeros([2, 5]), zeros([4])];
    expect(() => layerNorm(x, { weight })).toThrow('layerNorm: x must have shape [..., 4], got [2, 5]');
    expect(() => layerNorm(x, { bias: weight })).toThrow('layerNorm: x must have shape [..., 4], got [2, 5]');
    dispose([x, weight]);
  });

  it('layerNorm(x) refuses a weight that is a matrix, and an eps that is not a number', () => {
    const [x, weight] = [zeros([2, 5]), zeros([1, 5])];
    expect(() => layerNorm(x, { weight })).toThrow('layerNorm: weight must have rank 1, got shape [1, 5]');
    expect(() => layerNorm(x, {}, { eps: NaN })).toThrow('layerNorm: eps must be a positive number, got NaN');
    expect(() => layerNormLayer({ eps: -1 })).toThrow('layerNormLayer: eps must be a positive number, got -1');
    dispose([x, weight]);
  });

  it('layerNorm(x) refuses a weight and a bias of integers', () => {
    const [x, integers] = [zeros([2, 3]), zeros([3], 'int32')];
    expect(() => layerNorm(x, { weight: integers })).toThrow('layerNorm: weight must have dtype float32, got int32');
    expect(() => layerNorm(x, { bias: integers })).toThrow('layerNorm: bias must have dtype float32, got int32');
    dispose([x, integers]);
  });

  it('initLayerNorm(dim) makes a weight of 1 and a bias of 0, and no bias with bias: false', async () => {
    await expectNoLeak(() => initLayerNorm(3));
    const [full, bare] = [initLayerNorm(3), initLayerNorm(2, { bias: false })];
    await expectClose(full.weight, [1, 1, 1]);
    await expectClose(full.bias!, [0, 0, 0]);
    expect(Object.keys(bare)).toEqual(['weight']);
    expect(() => initLayerNorm(1.5)).toThrow('initLayerNorm: dim must be an integer ≥ 1, got 1.5');
    dispose([full, bare]);
  });

  it('layerNormLayer({ bias: false }) has no bias', () => {
    const layer = layerNormLayer({ bias: false })(4);
    const params = initParams(layer.specs, 0, layer.initialiserOf);
    expect(treePaths(params)).toEqual(['weight']);
    dispose(params as never);
  });
});

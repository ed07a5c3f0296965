import { treeEntries, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { dynamicTanh, dynamicTanhLayer, initDynamicTanh } from '@evenkeel/norms';
import { expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { dispose, fill, mul, neg, tensor, tidy, zeros } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

forEachBackend(() => {
  it('dynamicTanh(x) is weight · tanh(alpha · x) + bias', async () => {
    const x = tensor([[0, 1, -2], [0.5, 1e4, -1e4]]);
    const params = { alpha: tensor([0.5]), weight: tensor([1, 2, 3]), bias: tensor([10, 0, 0]) };
    const y = dynamicTanh(x, params);
    await expectClose(y, [[10, 2 * Math.tanh(0.5), 3 * Math.tanh(-1)], [10 + Math.tanh(0.25), 2, -3]]);
    dispose([x, params, y]);
  });

  it('dynamicTanh(x) does not look at other channels, and cannot grow beyond its gain', async () => {
    const params = initDynamicTanh(33);
    const x = randomTensor([5, 33], { std: 100 });
    const y = dynamicTanh(x, params);
    const [values, first] = [await y.data() as Float32Array, await x.data()];
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(1);
    const changed = Float32Array.from(first, (value, i) => (i % 33 === 7 ? value : value + 3));
    const other = tidy(() => dynamicTanh(tensor(changed, [5, 33]), params));
    const kept = (all: Float32Array) => Array.from({ length: 5 }, (_, r) => all[r * 33 + 7]);
    expect(kept(await other.data() as Float32Array)).toEqual(kept(values));
    dispose([params, x, y, other]);
  });

  it('dynamicTanh(x) is odd, and for small x a line of slope weight · alpha', async () => {
    const params = { alpha: tensor([0.7]), weight: fill([8], 3) };
    const x = randomTensor([4, 8], { std: 1e-3 });
    const [y, mirrored] = [dynamicTanh(x, params), tidy(() => neg(dynamicTanh(neg(x), params)))];
    await expectClose(mirrored, y, { rtol: 0, atol: 0 });
    const line = mul(x, 2.1);
    await expectClose(y, line, { rtol: 1e-4, atol: 1e-7 });
    dispose([params, x, y, mirrored, line]);
  });
});

describe('dynamicTanh', () => {
  it('initDynamicTanh(dim) makes alpha 0.5, a weight of 1 and a bias of 0, and no bias with bias: false', async () => {
    await expectNoLeak(() => initDynamicTanh(3));
    const [full, bare] = [initDynamicTanh(3), initDynamicTanh(2, { alpha: 0.8, bias: false })];
    await expectClose(full.alpha, [0.5]);
    await expectClose(full.weight, [1, 1, 1]);
    await expectClose(full.bias!, [0, 0, 0]);
    await expectClose(bare.alpha, [0.8]);
    expect(Object.keys(bare)).toEqual(['alpha', 'weight']);
    dispose([full, bare]);
  });

  it('dynamicTanhLayer({ bias: false }) has no bias', () => {
    expect(treeEntries(dynamicTanhLayer({ bias: false })(4).specs as Tree<ParamSpec>).map(([path]) => path)).toEqual(['alpha', 'weight']);
  });

  it('dynamicTanh names what is wrong', () => {
    const [x, alpha, two, integer] = [zeros([2, 3]), fill([1], 0.5), zeros([2]), zeros([1], 'int32')];
    expect(() => dynamicTanh(x, { alpha: two })).toThrow('dynamicTanh: alpha must have shape [1], got [2]');
    expect(() => dynamicTanh(x, { alpha: integer })).toThrow('dynamicTanh: alpha must have dtype float32, got int32');
    expect(() => dynamicTanh(x, { alpha, bias: two })).toThrow('dynamicTanh: x must have shape [..., 2], got [2, 3]');
    expect(() => initDynamicTanh(0)).toThrow('initDynamicTanh: dim must be an integer ≥ 1, got 0');
    expect(() => initDynamicTanh(3, { alpha: 0 })).toThrow('initDynamicTanh: alpha must be a positive number, got 0');
    expect(() => dynamicTanhLayer({ alpha: NaN })).toThrow('dynamicTanhLayer: alpha must be a positive number, got NaN');
    dispose([x, alpha, two, integer]);
  });
});

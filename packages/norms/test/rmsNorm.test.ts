import { valueAndGrad } from '@evenkeel/core-tensor';
import { addRmsNorm, initRmsNorm, rmsNorm, rmsNormLayer } from '@evenkeel/norms';
import { expectClose, expectNoLeak, forEachBackend, randomArray, randomTensor } from '@evenkeel/testing';
import { add, dispose, square, sum, tensor, zeros, type Tensor } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

forEachBackend(() => {
  it('rmsNorm(x) leaves unit-RMS rows unchanged', async () => {
    const x = tensor([[1, -1, 1, -1], [2, 0, 0, 0]]);
    const y = rmsNorm(x, {});
    await expectClose(y, [[1, -1, 1, -1], [2, 0, 0, 0]]);
    dispose([x, y]);
  });

  it('rmsNorm(c·x) equals rmsNorm(x) for every c > 0 when eps → 0', async () => {
    await fc.assert(fc.asyncProperty(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), fc.nat(1000), async (c, seed) => {
      const values = randomArray(3 * 17, { seed });
      const [x, scaled] = [tensor(values, [3, 17]), tensor(values.map((value) => c * value), [3, 17])];
      const [y, z] = [rmsNorm(x, {}, { eps: 1e-12 }), rmsNorm(scaled, {}, { eps: 1e-12 })];
      await expectClose(z, y, { rtol: 1e-4, atol: 1e-6 });
      dispose([x, scaled, y, z]);
    }), { numRuns: 20, seed: 1 });
  });

  it('rmsNorm(−x) equals −rmsNorm(x)', async () => {
    const values = randomArray(65);
    const [x, mirrored] = [tensor(values, [1, 65]), tensor(values.map((value) => -value), [1, 65])];
    const [y, z] = [rmsNorm(x, {}), rmsNorm(mirrored, {})];
    await expectClose(z, (await y.data()).map((value) => -value), { rtol: 0, atol: 0 });
    dispose([x, mirrored, y, z]);
  });

  it('rmsNorm(x, { weight }, { gainOffset: 1 }) and addRmsNorm give what a weight greater by 1 gives, gradients included', async () => {
    const [x, residual, weight] = [randomTensor([3, 17]), randomTensor([3, 17], { seed: 2 }), randomTensor([17], { seed: 3, std: 0.3 })] as [Tensor, Tensor, Tensor];
    const loss = (gainOffset: 0 | 1) => ({ weight: w }: { weight: Tensor }) => {
      const { y, sum: total } = addRmsNorm(x, residual, { weight: w }, { gainOffset });
      return sum(add(add(square(y), square(rmsNorm(x, { weight: w }, { gainOffset }))), total));
    };
    const gain = add(weight, 1);
    const [offset, plain] = [valueAndGrad(loss(1), { weight }), valueAndGrad(loss(0), { weight: gain })];
    await expectClose(offset.value, plain.value, { rtol: 1e-6 });
    const [ofLayer, expected] = [rmsNormLayer({ gainOffset: 1 })(17).applyToSum!(x, residual, { weight }), addRmsNorm(x, residual, { weight: gain })];
    await expectClose(ofLayer.y, expected.y, { rtol: 1e-6 });
    await expectClose(offset.grads.weight, plain.grads.weight, { rtol: 1e-6 });
    dispose([x, residual, weight, gain, offset, plain, ofLayer, expected] as never);
  });
});

describe('rmsNorm', () => {
  it('rmsNorm([2, 5]) with 4 weights names x, [..., 4] and [2, 5]', () => {
    const [x, weight] = [zeros([2, 5]), zeros([4])];
    expect(() => rmsNorm(x, { weight })).toThrow('rmsNorm: x must have shape [..., 4], got [2, 5]');
    dispose([x, weight]);
  });

  it('rmsNorm(x) refuses a weight of integers', () => {
    const [x, weight] = [zeros([2, 3]), zeros([3], 'int32')];
    expect(() => rmsNorm(x, { weight })).toThrow('rmsNorm: weight must have dtype float32, got int32');
    dispose([x, weight]);
  });

  it('initRmsNorm(dim) makes a weight of 1', async () => {
    await expectNoLeak(() => initRmsNorm(3));
    const params = initRmsNorm(3);
    await expectClose(params.weight, [1, 1, 1]);
    expect(() => initRmsNorm(0)).toThrow('initRmsNorm: dim must be an integer ≥ 1, got 0');
    expect(() => rmsNormLayer({ eps: 0 })).toThrow('rmsNormLayer: eps must be a positive number, got 0');
    dispose(params);
  });

  it('initRmsNorm(dim, { gainOffset: 1 }) makes a weight of 0; other offsets are refused', async () => {
    const params = initRmsNorm(2, { gainOffset: 1 });
    await expectClose(params.weight, [0, 0]);
    expect(() => initRmsNorm(2, { gainOffset: 2 as never })).toThrow('initRmsNorm: gainOffset must be 0 or 1, got 2');
    expect(() => rmsNormLayer({ gainOffset: true as never })).toThrow('rmsNormLayer: gainOffset must be 0 or 1, got true');
    const x = zeros([2, 3]);
    expect(() => rmsNorm(x, {}, { gainOffset: 0.5 as never })).toThrow('rmsNorm: gainOffset must be 0 or 1, got 0.5');
    expect(() => addRmsNorm(x, x, {}, { gainOffset: -1 as never })).toThrow('addRmsNorm: gainOffset must be 0 or 1, got -1');
    dispose([params, x] as never);
  });
});

import { cast, engine, greater, ones, relu, setBackend, split, tensor, type NamedTensorMap, type Tensor } from '@tensorflow/tfjs-core';
import { BACKEND_NAME } from '@evenkeel/wasm-kernels';
import { expectClose, expectNoLeak } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { describeVariants } from './variants.ts';

/** Inputs a kernel must convert, refuse or cut to size before it reads memory. */
const run = (name: string, inputs: NamedTensorMap, attrs: object = {}): Tensor => engine().runKernel(`evenkeel/${name}`, inputs, { ...attrs }) as Tensor;

describeVariants((get) => {
  it('cast(bool → int32) converts the stored values for kernels that read memory', async () => {
    const ids = cast(greater(tensor([0.2, 0.7, 0.9]), 0.5), 'int32');
    await expectClose(run('embedding', { weight: tensor([[1, 2], [3, 4]]), ids }), [[1, 2], [3, 4], [3, 4]]);
    const [loss] = engine().runKernel('evenkeel/crossEntropy', { logits: ones([3, 2]), targets: ids }, { ignoreIndex: -100, labelSmoothing: 0, zLoss: 0 }) as unknown as [Tensor];
    await expectClose(loss, [Math.LN2, Math.LN2, Math.LN2]);
  });

  it('kernels read a tensor that the CPU backend has cast without converting it', async () => {
    await setBackend('cpu');
    const ids = tensor([[1, 2, 3], [4, 5, 6]], [2, 3], 'int32');
    const x = cast(ids, 'float32'); // shares the data of ids
    await setBackend(BACKEND_NAME);
    const bias = tensor([0, 1]);
    await expectClose(run('linear', { x, weight: x, bias }), [[14, 33], [32, 78]]);
    const { bytesInUse } = get().memory();
    await expectNoLeak(() => run('linear', { x, weight: x, bias }));
    expect(get().memory().bytesInUse).toBe(bytesInUse);
    await expectClose(run('silu', { x }), [[1, 2, 3], [4, 5, 6]].map((row) => row.map((value) => value / (1 + Math.exp(-value)))), { rtol: 1e-6 });
    await expectClose(run('gelu', { x }, { approximate: 'none' }), [[0.8413447, 1.9544997, 2.9959502], [3.9998733, 4.9999986, 6]], { rtol: 1e-6 });
    const r = Math.sqrt(1.5);
    await expectClose(run('layerNorm', { x, weight: cast(tensor([1, 1, 1], [3], 'int32'), 'float32') }, { eps: 0 }), [[-r, 0, r], [-r, 0, r]], { rtol: 1e-6, atol: 1e-6 });
    expect([...await ids.data()]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it.each(['weight', 'bias'])('layerNorm, rmsNorm and linear refuse an int32 %s', (name) => {
    const [x, whole] = [tensor([[1, 2, 4]]), tensor([2, 2, 2], [3], 'int32')];
    const message = `${name} must have dtype float32, got int32`;
    expect(() => run('layerNorm', { x, [name]: whole }, { eps: 1e-5 })).toThrow(`layerNorm: ${message}`);
    expect(() => run('linear', { x, weight: ones([3, 3]), [name]: whole })).toThrow(`linear: ${message}`);
    if (name === 'bias') return;
    expect(() => run('rmsNorm', { x, weight: whole }, { eps: 1e-5 })).toThrow(`rmsNorm: ${message}`);
    expect(() => run('layerNormGrad', { x, weight: whole, dy: x }, { eps: 1e-5 })).toThrow(`layerNormGrad: ${message}`);
  });

  it.each([Number.MAX_SAFE_INTEGER, 2 ** 31 - 1, 2 ** 32])('attention with a window of %d sees every key', async (window) => {
    const [q, k, v] = [ones([1, 2, 1, 4]), ones([1, 5, 1, 4]), tensor([1, 2, 3, 4, 5].flatMap((n) => [n, n, n, n]), [1, 5, 1, 4])];
    const attrs = { scale: 1, causal: false };
    for (const [windowLeft, windowRight] of [[-1, window], [window, -1], [window, window]]) {
      const [out] = engine().runKernel('evenkeel/attention', { q, k, v }, { ...attrs, windowLeft, windowRight } as never) as unknown as [Tensor];
      await expectClose(out, [[[[3, 3, 3, 3]], [[3, 3, 3, 3]]]], { rtol: 1e-6 });
    }
  });

  it('split(x) refuses sizes that do not fit the axis', () => {
    const x = relu(tensor([1, 2, 3]));
    const count = get().numDataIds();
    expect(() => split(x, [20, -1])).toThrow();
    expect(() => split(x, [2, 3])).toThrow();
    expect(get().numDataIds()).toBe(count);
    expect(split(x, [1, -1]).map(({ shape }) => shape)).toEqual([[1], [2]]);
  });
});

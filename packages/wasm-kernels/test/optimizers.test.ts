import { BACKEND_NAME } from '@evenkeel/wasm-kernels';
import { cast, clone, dispose, engine, fill, setBackend, square, tensor, tidy, type NamedTensorMap } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { describeVariants } from './variants.ts';

const ATTRS = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecays: [0], correction1: 1, correction2: 1 };
const SMALLEST_NORMAL = 2 ** -126;

describeVariants(() => {
  it('kernels over lists refuse lists of other lengths or sizes, and values that two tensors share', () => {
    const [x, y, short] = [fill([7], 1), fill([7], 1), fill([3], 1)];
    const run = (inputs: NamedTensorMap) => () => engine().runKernel('evenkeel/addScaled', inputs, { a: 1, b: 1 });
    expect(run({ 'x.0': x, 'y.0': short })).toThrow('addScaled: y.0 must have 7 elements, got 3');
    expect(run({ 'x.0': x })).toThrow('addScaled: y must have 1 tensors, got 0');
    const copy = clone(x);
    expect(run({ 'x.0': x, 'y.0': y })).toThrow('addScaled: x.0 must have values of its own, got values that 2 tensors share');
    dispose([x, y, short, copy]);
  });

  it('evenkeel/addScaled writes float32 over values that the CPU backend had cast without converting them', async () => {
    await setBackend('cpu');
    const x = tidy(() => cast(tensor([1, 2], [2], 'int32'), 'float32'));
    await setBackend(BACKEND_NAME);
    const y = tensor([0.5, 0.5]);
    square(x).dispose(); // brings the values here
    engine().runKernel('evenkeel/addScaled', { 'x.0': x, 'y.0': y }, { a: 1, b: 1 });
    expect([...await x.data()]).toEqual([1.5, 2.5]);
    dispose([x, y]);
  });

  it('evenkeel/adamw lets the moments of a zero gradient decay to zero, not to denormal numbers, which are slow', async () => {
    const [mu, nu] = [fill([7], -1.5e-38), fill([7], 1.18e-38)];
    for (let step = 0; step < 5; step++) {
      engine().runKernel('evenkeel/adamw', { 'param.0': fill([7], 1), 'grad.0': fill([7], 0), 'mu.0': mu, 'nu.0': nu }, ATTRS);
      for (const value of [...await mu.data(), ...await nu.data()]) expect(value === 0 || Math.abs(value) >= SMALLEST_NORMAL).toBe(true);
    }
    expect([...await mu.data()].map(Math.abs)).toEqual(Array(7).fill(0));
  });

  it('evenkeel/momentum lets the moment of a zero gradient decay to zero, not to denormal numbers, and refuses factors for other tensors', async () => {
    const mu = fill([7], 1.5e-38);
    const inputs = { 'param.0': fill([7], 1), 'grad.0': fill([7], 0), 'mu.0': mu };
    const attrs = { learningRate: 0.1, keep: 0.9, take: 0.1, aheadKeep: 0.9, aheadTake: 0.1, weightDecays: [0] };
    for (let step = 0; step < 5; step++) engine().runKernel('evenkeel/momentum', inputs, attrs);
    expect([...await mu.data()]).toEqual(Array(7).fill(0));
    expect(() => engine().runKernel('evenkeel/momentum', { ...inputs, 'factor.0': fill([2], 1) }, attrs)).toThrow('momentum: factor.0 must have 1 elements, got 2');
    expect(() => engine().runKernel('evenkeel/scaledSums', { 'x.0': mu, 'factor.0': fill([2], 1) }, { a: 1 })).toThrow('scaledSums: factor.0 must have 1 elements, got 2');
    expect(() => engine().runKernel('evenkeel/factoredRoots', { 'x.0': mu, 'row.0': fill([2], 1), 'column.0': mu, 'mean.0': fill([1], 1) }, { columns: [7] })).toThrow('factoredRoots: row.0 must have 1 elements, got 2');
  });
});

import { abs, erf, exp, relu, sigmoid, square, step, tanh, tensor } from '@tensorflow/tfjs-core';
import { erf64, expectClose, randomArray } from '@evenkeel/testing';
import { it } from 'vitest';
import { describeVariants } from './variants.ts';

const x = Float32Array.from([...randomArray(20_000, { std: 2 }), ...randomArray(2000, { std: 1e-3, seed: 2 }), 0, 0.5, -0.5, 0.6, 9, -30, 1e20, Infinity, -Infinity, NaN]);

describeVariants(() => {
  it('erf(x) agrees with the float64 oracle, relatively near 0 and absolutely elsewhere', async () => {
    await expectClose(erf(tensor(x)), Float64Array.from(x, (value) => (Number.isNaN(value) ? NaN : erf64(value))), { rtol: 1e-6, atol: 0 });
  });

  it('tanh(x) agrees with the float64 oracle to a few units in the last place', async () => {
    await expectClose(tanh(tensor(x)), Float64Array.from(x, Math.tanh), { rtol: 4e-7, atol: 0 });
  });

  it('exp, tanh, sigmoid, relu, abs, square and step are right where exponentials overflow and vanish', async () => {
    const edges = Float32Array.of(NaN, Infinity, -Infinity, 100, -100, 88.8, 88.72284, 88.72283, -87.4, -87.3365, 0, -0);
    const functions = [
      [exp, Math.exp], [tanh, Math.tanh], [sigmoid, (value: number) => 1 / (1 + Math.exp(-value))], [relu, (value: number) => Math.max(value, 0)],
      [abs, Math.abs], [square, (value: number) => value * value], [step, (value: number) => (Number.isNaN(value) ? NaN : Number(value > 0))],
    ] as const;
    for (const [ours, exact] of functions) await expectClose(ours(tensor(edges)), Float32Array.from(edges, exact), { rtol: 1e-5, atol: 1.2e-38 });
  });
});

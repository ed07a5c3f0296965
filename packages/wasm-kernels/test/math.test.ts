import { erf, tanh, tensor } from '@tensorflow/tfjs-core';
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
});

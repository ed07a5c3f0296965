import { engine, fill, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { expectClose, gelu64, randomArray } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { describeVariants } from './variants.ts';

const gelu = (x: Tensor, approximate: 'none' | 'tanh'): Tensor => engine().runKernel('evenkeel/gelu', { x }, { approximate }) as Tensor;

describeVariants(() => {
  it.each(['none', 'tanh'] as const)("evenkeel/gelu with approximate '%s' agrees with the float64 oracle", async (approximate) => {
    for (const size of [1, 3, 65, 130, 40_003]) {
      const x = randomArray(size, { std: 3 });
      await expectClose(gelu(tensor(x), approximate), gelu64(x, approximate), { rtol: 1e-6, atol: 1e-7 });
    }
  });

  it.each(['none', 'tanh'] as const)("evenkeel/gelu with approximate '%s' is x for large x and 0 for very negative x", async (approximate) => {
    const values = await gelu(tensor([10, 100, 1e30, Infinity, -20, -100, -1e30, NaN, 0]), approximate).data();
    expect([...values].slice(0, 4)).toEqual([10, 100, Math.fround(1e30), Infinity]);
    expect([...values].slice(4, 7).map(Math.abs)).toEqual([0, 0, 0]);
    expect(values[7]).toBeNaN();
    expect(values[8]).toBe(0);
  });

  it.each(['none', 'tanh'] as const)("evenkeel/geluGrad with approximate '%s' is dy for large x and 0 for very negative x", async (approximate) => {
    const x = tensor([10, 30, 1e14, 3e38, -30, -1e14, -3e38, NaN, 0]);
    const dx = engine().runKernel('evenkeel/geluGrad', { x, dy: fill([9], 2) }, { approximate }) as Tensor;
    const values = [...await dx.data()].map((value) => value + 0); // no −0
    expect(values).toEqual([2, 2, 2, 2, 0, 0, 0, NaN, 1]);
  });
});

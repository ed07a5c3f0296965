import { engine, fill, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { expectClose, gelu64, randomArray, silu64 } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { describeVariants } from './variants.ts';

const GATES: Record<string, (x: ArrayLike<number>) => Float64Array> = {
  sigmoid: (x) => Float64Array.from(x, (value) => 1 / (1 + Math.exp(-value))),
  relu: (x) => Float64Array.from(x, (value) => Math.max(value, 0)),
  gelu: (x) => gelu64(x, 'none'), geluTanh: (x) => gelu64(x, 'tanh'), silu: silu64,
};

const run = (name: string, inputs: Record<string, Tensor>, activation: string): Tensor[] => [engine().runKernel(`evenkeel/${name}`, inputs, { activation })].flat() as Tensor[];

describeVariants(() => {
  it.each(Object.entries(GATES))('evenkeel/glu and gluGrad with %s agree with the float64 oracle', async (activation, gate64) => {
    for (const size of [1, 3, 65, 130, 40_003]) {
      const [gate, value, dy] = [randomArray(size, { std: 3 }), randomArray(size, { seed: 2 }), randomArray(size, { seed: 3 })];
      const inputs = { gate: tensor(gate), value: tensor(value) };
      const opened = gate64(gate);
      const at = (step: number) => gate64(Float64Array.from(gate, (x) => x + step));
      const [above, below] = [at(1e-5), at(-1e-5)];
      const slopes = above.map((each, i) => (each - below[i]!) / 2e-5);
      const [y] = run('glu', inputs, activation) as [Tensor];
      await expectClose(y, opened.map((each, i) => each * value[i]!), { rtol: 2e-6, atol: 1e-6 });
      const [dgate, dvalue] = run('gluGrad', { ...inputs, dy: tensor(dy) }, activation) as [Tensor, Tensor];
      await expectClose(dvalue, opened.map((each, i) => each * dy[i]!), { rtol: 2e-6, atol: 1e-6 });
      await expectClose(dgate, slopes.map((each, i) => each * value[i]! * dy[i]!), { rtol: 5e-6, atol: 2e-6 });
    }
  });

  it.each(Object.keys(GATES))('evenkeel/gluGrad with %s ends in 0 or 1 at large gates and keeps NaN', async (activation) => {
    const [dgate] = run('gluGrad', { gate: tensor([30, 3e38, -30, -1e14, -3e38, NaN]), value: fill([6], 1), dy: fill([6], 2) }, activation) as [Tensor];
    const open = activation === 'sigmoid' ? 0 : 2;
    await expectClose(dgate, [open, open, 0, 0, 0, NaN], { atol: 1e-6 });
    expect(dgate.shape).toEqual([6]);
  });
});

/** What gelu and silu have in common: one row per activation. */
import { valueAndGrad } from '@evenkeel/core-tensor';
import { gelu, silu } from '@evenkeel/layers';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, gelu64, randomTensor, silu64 } from '@evenkeel/testing';
import { dispose, sum, tensor, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

const rows = [
  { title: 'gelu(x)', fn: 'gelu', op: (x: Tensor) => gelu(x), oracle64: (x: ArrayLike<number>) => gelu64(x, 'none') },
  { title: "gelu(x, { approximate: 'tanh' })", fn: 'gelu', op: (x: Tensor) => gelu(x, { approximate: 'tanh' }), oracle64: (x: ArrayLike<number>) => gelu64(x, 'tanh') },
  { title: 'silu(x)', fn: 'silu', op: (x: Tensor) => silu(x), oracle64: silu64 },
];

describe.each(rows)('$title', ({ title, fn, op, oracle64 }) => {
  forEachBackend(() => {
    it.each([[[1]], [[3]], [[65, 3]], [[2, 5, 13]], [[130, 65]]])(`${title} agrees with the float64 oracle for shape %j`, async (shape) => {
      const x = randomTensor(shape as [number], { std: 2 });
      const y = op(x);
      expect(y.shape).toEqual(shape);
      // tfjs' erf is good to 1.5e-7, times x/2 for |x| up to about 8.
      await expectClose(y, oracle64(await x.data()), { rtol: 1e-5, atol: 1e-6 });
      dispose([x, y]);
    });

    it(`${title} is x for large x, 0 for large −x, and 0 at 0`, async () => {
      const x = tensor([-1e4, -100, -0, 0, 100, 1e4]);
      const y = op(x);
      await expectClose(y, [0, 0, 0, 0, 100, 1e4], { atol: 1e-6 });
      const { value, grads } = valueAndGrad((p: { x: Tensor }) => sum(op(p.x)), { x });
      await expectClose(grads.x, [0, 0, 0.5, 0.5, 1, 1], { atol: 1e-6 });
      dispose([x, y, value, grads.x]);
    });

    it(`the gradient of ${title} matches finite differences`, async () => {
      for (const size of [1, 3, 65]) {
        const x = randomTensor([size], { std: 2, seed: 4 }) as Tensor;
        await checkOpGrad<'x'>({ op: (p) => op(p.x), oracle64: (p) => oracle64(p.x), inputs: { x } });
        dispose(x);
      }
    });

    it(`${title} adds one tensor and frees the rest, also on error and in gradients`, async () => {
      const [x, integers] = [randomTensor([3, 4]) as Tensor, zeros([2], 'int32')];
      await expectNoLeak(() => op(x));
      await expectNoLeak(() => op(integers), { throws: `${fn}: x must have dtype float32, got int32` });
      await expectNoLeak(() => valueAndGrad((p: { x: Tensor }) => sum(op(p.x)), { x }));
      dispose([x, integers]);
    });
  });
});

describe('gelu', () => {
  it("gelu(x, { approximate: 'erf' }) lists what approximate may be", () => {
    const x = zeros([2]);
    expect(() => gelu(x, { approximate: 'erf' as never })).toThrow('gelu: approximate must be one of none, tanh, got erf');
    dispose(x);
  });
});

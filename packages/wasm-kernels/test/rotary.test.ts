import { engine, tensor, type NamedAttrMap, type Tensor } from '@tensorflow/tfjs-core';
import { expectClose, expectNoLeak, randomArray, randomTensor } from '@evenkeel/testing';
import { it } from 'vitest';
import { describeVariants } from './variants.ts';

const run = (x: Tensor, attrs: object): Tensor => engine().runKernel('evenkeel/rotary', { x }, attrs as NamedAttrMap) as Tensor;

/** Angles of `rows` positions, as the kernel wants them. */
function makeTable(rows: number, rotaryDim: number): Float32Array {
  const half = rotaryDim / 2;
  const angles = randomArray(rows * half, { seed: 3, std: 2 });
  return Float32Array.from({ length: rows * rotaryDim }, (_, at) => {
    const [row, i] = [Math.floor(at / rotaryDim), at % rotaryDim];
    return i < half ? Math.cos(angles[row * half + i]!) : Math.sin(angles[row * half + i - half]!);
  });
}

describeVariants(() => {
  it.each([true, false])('evenkeel/rotary with interleaved %s turns each pair of every token, and back', async (interleaved) => {
    for (const [B, T, H, D, r, rows] of [[1, 1, 1, 2, 2, 1], [2, 3, 1, 7, 6, 3], [2, 3, 2, 8, 8, 6], [1, 65, 3, 130, 130, 65], [3, 70, 2, 64, 24, 70], [0, 1, 1, 2, 2, 1]] as const) {
      const table = makeTable(rows, r);
      const x = randomTensor([B, T, H, D]);
      const values = await x.data();
      const half = r / 2;
      const expected = Float64Array.from({ length: values.length }, (_, at) => {
        const [channel, token] = [at % D, Math.floor(at / (D * H))];
        if (channel >= r) return values[at]!;
        const [pair, sign] = interleaved ? [channel >> 1, channel % 2 === 0 ? 1 : -1] : [channel % half, channel < half ? 1 : -1];
        const [cos, sin] = [table[(token % rows) * r + pair]!, table[(token % rows) * r + half + pair]!];
        return values[at]! * cos - sign * values[at + sign * (interleaved ? 1 : half)]! * sin;
      });
      const attrs = { table, rotaryDim: r, interleaved };
      const y = run(x, { ...attrs, inverse: false });
      await expectClose(y, expected, { rtol: 1e-6, atol: 1e-6 });
      await expectClose(run(y, { ...attrs, inverse: true }), values as Float32Array, { rtol: 1e-5, atol: 1e-6 });
    }
  });

  it('evenkeel/rotary leaves the table alone and frees its copy', async () => {
    const table = makeTable(2, 4);
    const before = [...table];
    const x = tensor([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 1, 4]);
    await expectNoLeak(() => run(x, { table, rotaryDim: 4, interleaved: false, inverse: false }));
    await expectClose(table, before, { rtol: 0, atol: 0 });
  });
});

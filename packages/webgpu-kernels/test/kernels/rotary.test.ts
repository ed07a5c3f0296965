import { GPU_BACKEND } from '@evenkeel/core-tensor';
import { expectClose, forEachBackend, randomArray, randomTensor } from '@evenkeel/testing';
import { backend, dispose, engine, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { run } from './run.ts';

/** Angles of `rows` positions, as the kernel wants them. */
function makeTable(rows: number, rotaryDim: number, seed = 3): Float32Array {
  const half = rotaryDim / 2;
  const angles = randomArray(rows * half, { seed, std: 2 });
  return Float32Array.from({ length: rows * rotaryDim }, (_, at) => {
    const [row, i] = [Math.floor(at / rotaryDim), at % rotaryDim];
    return i < half ? Math.cos(angles[row * half + i]!) : Math.sin(angles[row * half + i - half]!);
  });
}

function turned(values: ArrayLike<number>, [, , H, D]: readonly number[], table: Float32Array, r: number, interleaved: boolean): Float64Array {
  const [half, rows] = [r / 2, table.length / r];
  return Float64Array.from({ length: values.length }, (_, at) => {
    const [channel, token] = [at % D!, Math.floor(at / (D! * H!))];
    if (channel >= r) return values[at]!;
    const [pair, sign] = interleaved ? [channel >> 1, channel % 2 === 0 ? 1 : -1] : [channel % half, channel < half ? 1 : -1];
    const [cos, sin] = [table[(token % rows) * r + pair]!, table[(token % rows) * r + half + pair]!];
    return values[at]! * cos - sign * values[at + sign * (interleaved ? 1 : half)]! * sin;
  });
}

forEachBackend([GPU_BACKEND], () => {
  it.each([true, false])('rotary with interleaved %s turns each pair of every token, and back', async (interleaved) => {
    for (const [B, T, H, D, r, rows] of [[1, 1, 1, 2, 2, 1], [2, 3, 1, 7, 6, 3], [2, 3, 2, 8, 8, 6], [1, 65, 3, 130, 130, 65], [3, 70, 2, 64, 24, 70]] as const) {
      const table = makeTable(rows, r);
      const x = randomTensor([B, T, H, D]) as Tensor;
      const values = await x.data();
      const attrs = { table, rotaryDim: r, interleaved };
      const [y] = run('rotary', { x }, { ...attrs, inverse: false });
      await expectClose(y!, turned(values, x.shape, table, r, interleaved), { rtol: 1e-6, atol: 1e-6 });
      const [back] = run('rotary', { x: y! }, { ...attrs, inverse: true });
      await expectClose(back!, values as Float32Array, { rtol: 1e-5, atol: 1e-6 });
      dispose([x, y!, back!]);
    }
  });

  it('rotary keeps its tables on the device: parts of one are one, and the last few are no tensors of anybody', async () => {
    const x = randomTensor([1, 2, 1, 8]) as Tensor;
    const values = await x.data();
    const count = engine().backend.numDataIds();
    const large = makeTable(40, 8);
    for (let i = 0; i < 38; i++) {
      const tables = [large.subarray(8 * i, 8 * (i + 2)), makeTable(2, 8, 100 + i)]; // with far more than are kept, the first again and again
      for (const table of tables) {
        const [y] = run('rotary', { x }, { table, rotaryDim: 8, interleaved: false, inverse: false });
        await expectClose(y!, turned(values, x.shape, table, 8, false), { rtol: 1e-6, atol: 1e-6 });
        y!.dispose();
      }
    }
    expect(backend().numDataIds()).toBe(count);
    const { numBytesInGPU } = backend().memory() as unknown as { numBytesInGPU: number };
    for (let i = 0; i < 20; i++) run('rotary', { x }, { table: makeTable(2, 8, i), rotaryDim: 8, interleaved: false, inverse: false })[0]!.dispose();
    expect((backend().memory() as unknown as { numBytesInGPU: number }).numBytesInGPU).toBeLessThanOrEqual(numBytesInGPU);
    x.dispose();
  });
});

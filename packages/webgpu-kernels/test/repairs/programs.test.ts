import { valueAndGrad } from '@evenkeel/core-tensor';
import { expectClose, expectNoLeak, forEachBackend, randomArray, randomTensor } from '@evenkeel/testing';
import { cast, cumprod, cumsum, dispose, max, sum, tensor, tidy, transpose, unsortedSegmentSum, tensor1d } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

/** What reversed, exclusive or plain scanning of one row gives. */
function scan64(row: readonly number[], combine: (a: number, b: number) => number, start: number, exclusive: boolean, reverse: boolean): number[] {
  const order = [...row.keys()];
  if (reverse) order.reverse();
  const result = new Array<number>(row.length);
  let total = start;
  for (const i of order) {
    const next = combine(total, row[i]!);
    result[i] = exclusive ? total : next;
    total = next;
  }
  return result;
}

forEachBackend(['evenkeel-webgpu'], () => {
  it.each([[false, false], [false, true], [true, false], [true, true]])(
    'cumsum and cumprod, exclusive: %s, reversed: %s, are right for rows of 1, 3, 4, 65 and 5 in turn', async (exclusive, reverse) => {
      for (const length of [1, 3, 4, 65, 5]) { // one shader for all lengths of a rank was the fault
        const values = Array.from(randomArray(2 * length, { seed: length }), (value) => 1 + value / 8);
        const x = tensor(values, [2, length]);
        const rows = [values.slice(0, length), values.slice(length)];
        const [sums, products] = [cumsum(x, 1, exclusive, reverse), cumprod(x, 1, exclusive, reverse)];
        await expectClose(sums, rows.map((row) => scan64(row, (a, b) => a + b, 0, exclusive, reverse)), { rtol: 1e-4 });
        await expectClose(products, rows.map((row) => scan64(row, (a, b) => a * b, 1, exclusive, reverse)), { rtol: 1e-4 });
        dispose([x, sums, products]);
      }
    });

  it('unsortedSegmentSum(x, ids) drops rows whose id is negative or too large', async () => {
    const x = tensor([[1, 2], [3, 4], [5, 6], [7, 8]]);
    const y = tidy(() => unsortedSegmentSum(x, tensor1d([1, -1, 5, 1], 'int32'), 3));
    await expectClose(y, [[0, 0], [8, 10], [0, 0]]);
    dispose([x, y]);
  });

  it('unsortedSegmentSum(x, ids) adds integers', async () => {
    const x = tensor([3, -5, 7], [3], 'int32');
    const y = tidy(() => unsortedSegmentSum(x, tensor1d([1, 1, 0], 'int32'), 2));
    expect([...await y.data()]).toEqual([7, -2]);
    dispose([x, y]);
  });

  it('transpose(x) keeps integers beyond 2²⁴ and Booleans exactly, for every rank', async () => {
    const values = [16777217, 2, -3, 33554435, 5, 6];
    for (const shape of [[2, 3], [1, 2, 3], [1, 2, 1, 3]]) {
      const perm = [...shape.keys()].reverse();
      const [ints, bools] = [tensor(values, shape, 'int32'), tensor([1, 0, 0, 1, 1, 0], shape, 'bool')];
      const [a, b] = [transpose(ints, perm), transpose(bools, perm)];
      expect([...await a.data()]).toEqual([16777217, 33554435, 2, 5, -3, 6]);
      expect([...await b.data()]).toEqual([1, 1, 0, 1, 0, 0]);
      dispose([ints, bools, a, b]);
    }
  });

  it('transpose(x) of integers cast to float32, which are stored as integers, gives floats', async () => {
    const ints = tensor([1, 2, 3, 4, 5, 6], [1, 2, 3], 'int32');
    const y = tidy(() => transpose(cast(ints, 'float32'), [2, 1, 0]));
    await expectClose(y, [[[1], [4]], [[2], [5]], [[3], [6]]]);
    dispose([ints, y]);
  });

  it('the gradient of max(x) over the first axis, which transposes Booleans, points at the largest', async () => {
    const x = randomTensor([3, 65], { seed: 2 });
    const values = await x.data();
    const { value, grads } = await withoutLeak(() => valueAndGrad((p) => sum(max(p.x, 0)), { x }));
    await expectClose(grads.x, Float64Array.from(values, (own, i) => (own === Math.max(values[i % 65]!, values[65 + (i % 65)]!, values[130 + (i % 65)]!) ? 1 : 0)));
    dispose([x, value, grads.x]);
  });
});

async function withoutLeak<T>(f: () => T): Promise<T> {
  await expectNoLeak(f);
  return f();
}

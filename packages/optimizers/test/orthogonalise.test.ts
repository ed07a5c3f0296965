import { tensor1d, tensor2d, type Tensor2D } from '@tensorflow/tfjs-core';
import { orthogonalise } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend, randomArray } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';
import { norm64 } from './trajectory.ts';

type Matrix = { readonly rows: number; readonly columns: number; readonly data: Float64Array };
const matrix = (rows: number, columns: number, at: (r: number, c: number) => number): Matrix =>
  ({ rows, columns, data: Float64Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns)) });
const product = (a: Matrix, b: Matrix): Matrix => matrix(a.rows, b.columns, (r, c) => {
  let sum = 0;
  for (let k = 0; k < a.columns; k++) sum += a.data[r * a.columns + k]! * b.data[k * b.columns + c]!;
  return sum;
});
const transposed = (a: Matrix): Matrix => matrix(a.columns, a.rows, (r, c) => a.data[c * a.columns + r]!);
const sum = (...terms: [number, Matrix][]): Matrix => matrix(terms[0]![1].rows, terms[0]![1].columns, (r, c) => terms.reduce((all, [factor, { data, columns }]) => all + factor * data[r * columns + c]!, 0));

/** The iteration with G Gᵀ, in float64. */
function newtonSchulz64(g: Matrix, steps: number): Matrix {
  let x = sum([1 / norm64(g.data), g]);
  for (let step = 0; step < steps; step++) {
    const gram = product(x, transposed(x));
    x = sum([3.4445, x], [1, product(sum([-4.775, gram], [2.0315, product(gram, gram)]), x)]);
  }
  return x;
}

const random = (rows: number, columns: number, seed: number): Matrix => ({ rows, columns, data: Float64Array.from(randomArray(rows * columns, { seed })) });
const tensorOf = ({ rows, columns, data }: Matrix): Tensor2D => tensor2d(Float32Array.from(data), [rows, columns]);

forEachBackend(() => {
  it('orthogonalise(matrices) follows the iteration in float64: wide, tall, square, one row, one element, several of a shape', async () => {
    const all = [random(5, 13, 1), random(13, 5, 2), random(8, 8, 3), random(1, 7, 4), random(1, 1, 5), random(5, 13, 6)];
    const inputs = all.map(tensorOf);
    const results = orthogonalise(inputs);
    for (const [i, each] of all.entries()) {
      expect(results[i]!.shape).toEqual([each.rows, each.columns]);
      await expectClose(await results[i]!.data() as Float32Array, newtonSchulz64(each, 5).data, { rtol: 1e-4, atol: 1e-4 });
    }
    free(inputs, results);
  });

  it('orthogonalise([diagonal]) brings singular values over two decades to between 0.65 and 1.25, and nothing beside the diagonal', async () => {
    const values = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];
    const input = tensorOf(matrix(7, 9, (r, c) => (r === c ? values[r]! : 0)));
    const [result] = orthogonalise([input]);
    const data = [...await result!.data()];
    data.forEach((value, i) => {
      if (Math.floor(i / 9) === i % 9) expect(value).toSatisfy((each: number) => each > 0.65 && each < 1.25);
      else expect(Math.abs(value)).toBeLessThan(1e-6);
    });
    free(input, result!);
  });

  it('orthogonalise(matrices) does not depend on the size of a matrix, leaves zeros zero, and leaks nothing', async () => {
    const [g, large, zero] = [tensorOf(random(6, 4, 7)), tensorOf(sum([1024, random(6, 4, 7)])), tensorOf(matrix(6, 4, () => 0))];
    const [a, b, c] = orthogonalise([g, large, zero]);
    await expectClose(a!, b!, { atol: 1e-5 });
    expect([...await c!.data()].every((value) => value === 0)).toBe(true);
    await expectNoLeak(() => orthogonalise([g, large]));
    free(g, large, zero, a!, b!, c!);
  });
});

it('orthogonalise(matrices) refuses other tensors and counts that are none', () => {
  const [vector, whole, fine] = [tensor1d([1]), tensor2d([[1]], [1, 1], 'int32'), tensor2d([[1]])];
  expect(() => orthogonalise([vector as unknown as Tensor2D])).toThrow('orthogonalise: matrices[0] must have rank 2, got shape [1]');
  expect(() => orthogonalise([fine, whole])).toThrow('orthogonalise: matrices[1] must have dtype float32, got int32');
  expect(() => orthogonalise([fine], { steps: 0 })).toThrow('orthogonalise: steps must be an integer ≥ 1, got 0');
  free(vector, whole, fine);
});

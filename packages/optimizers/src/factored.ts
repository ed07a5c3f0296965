import { add, div, expandDims, mean, mul, reshape, slice, sqrt, square, tidy, type Tensor, type Tensor1D } from '@tensorflow/tfjs-core';
import { hasListKernel, runListKernel } from '@evenkeel/core-tensor';

/**
 * rowColumnSquares — the means of squares of every row and of every column of tensors that are seen as matrices of `columns[i]` columns,
 * in one kernel where the backend has it.
 *
 * @param eps  added to each mean, so in the unit of x².
 * @returns    lists of vectors; the caller's.
 */
export function rowColumnSquares(xs: readonly Tensor[], columns: readonly number[], eps: number): { rows: Tensor[]; columns: Tensor[] } {
  if (hasListKernel('evenkeel/rowColumnSquares')) {
    const all = runListKernel('evenkeel/rowColumnSquares', { x: xs }, { columns, eps });
    return { rows: all.slice(0, xs.length), columns: all.slice(xs.length) };
  }
  const along = (axis: number): Tensor[] => xs.map((x, i) => tidy(() => add(mean(square(asMatrix(x, columns[i] as number)), axis), eps)));
  return { rows: along(1), columns: along(0) };
}

export type FactoredMoments = { readonly rows: readonly Tensor[]; readonly columns: readonly Tensor[]; readonly rowMeans: Tensor1D };

/** factoredRoots — x over the root of its second moment, of which only means of rows and columns are known: row · column / mean(row). */
export function factoredRoots(xs: readonly Tensor[], { rows, columns, rowMeans }: FactoredMoments): Tensor[] {
  const widths = columns.map(({ size }) => size);
  if (hasListKernel('evenkeel/factoredRoots')) {
    return runListKernel('evenkeel/factoredRoots', { x: xs, row: rows, column: columns, mean: [rowMeans] }, { columns: widths });
  }
  return xs.map((x, i) => tidy(() => {
    const row = expandDims(sqrt(div(rows[i] as Tensor, reshape(slice(rowMeans, [i], [1]), []))), 1); // r 1
    const column = sqrt(columns[i] as Tensor); // c; the roots apart, as the product of small moments would underflow
    return reshape(div(asMatrix(x, widths[i] as number), mul(row, column)), x.shape);
  }));
}

const asMatrix = (x: Tensor, columns: number): Tensor => reshape(x, [x.size / columns, columns]);

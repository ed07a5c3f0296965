import { matMul, reshape, transpose, type GradConfig, type Tensor } from '@tensorflow/tfjs-core';
import { attr, sumTo } from './config.ts';

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const batchSize = ({ shape }: Tensor): number => sizeOf(shape.slice(0, -2));

/** The same values with the last two axes exchanged. */
function swapLast(x: Tensor): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  return transpose(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2]);
}

/** `... m k` as the matrix `(... m) k`: a batch times one weight matrix is a single product. */
function foldRows(x: Tensor, isTransposed = false): Tensor {
  const rows = isTransposed ? swapLast(x) : x;
  const columns = rows.shape[rows.rank - 1] as number;
  return reshape(rows, [rows.size / Math.max(columns, 1), columns]);
}

/** gradA — dA = dy·Bᵀ, summed over the batch axes along which `a` was broadcast. */
function gradA(dy: Tensor, a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  if (transposeA) return sumTo(matMul(b, dy, transposeB, true), a.shape);
  if (batchSize(b) > 1 || batchSize(dy) === 1) return sumTo(matMul(dy, b, false, !transposeB), a.shape);
  const matrix = reshape(b, b.shape.slice(-2));
  return sumTo(reshape(matMul(foldRows(dy), matrix, false, !transposeB), [...dy.shape.slice(0, -1), a.shape[a.rank - 1] as number]), a.shape);
}

/** gradB — dB = Aᵀ·dy; a weight shared by the whole batch gets one product over all rows instead of one per batch entry. */
function gradB(dy: Tensor, a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  const isShared = batchSize(b) === 1 && batchSize(a) === batchSize(dy) && batchSize(dy) > 1;
  if (!isShared) return sumTo(transposeB ? matMul(dy, a, true, transposeA) : matMul(a, dy, !transposeA, false), b.shape);
  const [rowsA, rowsDy] = [foldRows(a, transposeA), foldRows(dy)]; // (... m) k, (... m) n
  return reshape(transposeB ? matMul(rowsDy, rowsA, true, false) : matMul(rowsA, rowsDy, true, false), b.shape);
}

/** matMulGradients — batched matrix products, with batch axes broadcast in either operand. */
export const matMulGradients: readonly GradConfig[] = [
  {
    kernelName: 'BatchMatMul',
    inputsToSave: ['a', 'b'],
    gradFunc: (dy, saved, attrs) => {
      const [a, b] = saved as [Tensor, Tensor];
      const [transposeA, transposeB] = [attr<boolean>(attrs, 'transposeA'), attr<boolean>(attrs, 'transposeB')];
      return {
        a: () => gradA(dy as Tensor, a, b, transposeA, transposeB),
        b: () => gradB(dy as Tensor, a, b, transposeA, transposeB),
      };
    },
  },
];

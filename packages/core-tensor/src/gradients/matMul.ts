import {
  add, clone, exp, greater, less, logicalAnd, matMul, minimum, mul, reshape, sigmoid, sub, transpose, where, zerosLike, type GradConfig, type Tensor,
} from '@tensorflow/tfjs-core';
import { UnsupportedError } from '../errors.ts';
import { attr, presentInputs, sumTo, type Attrs } from './config.ts';

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

type Operands = { a: () => Tensor; b: () => Tensor };

function operandGradients(dy: () => Tensor, a: Tensor, b: Tensor, attrs: Attrs): Operands {
  const [transposeA, transposeB] = [attr<boolean>(attrs, 'transposeA'), attr<boolean>(attrs, 'transposeB')];
  return { a: () => gradA(dy(), a, b, transposeA, transposeB), b: () => gradB(dy(), a, b, transposeA, transposeB) };
}

/** The gradient before the activation of `_FusedMatMul`; `z` is the product plus the bias. */
function beforeActivation(dy: Tensor, z: Tensor, prelu: Tensor | undefined, attrs: Attrs): Tensor {
  const isOn = greater(z, 0);
  switch (attr<string | undefined>(attrs, 'activation') ?? 'linear') {
    case 'linear': return dy;
    case 'relu': return where(isOn, dy, zerosLike(dy));
    case 'relu6': return where(logicalAnd(isOn, less(z, 6)), dy, zerosLike(dy));
    case 'elu': return where(isOn, dy, mul(dy, exp(minimum(z, 0))));
    case 'leakyrelu': return where(isOn, dy, mul(dy, attr<number | undefined>(attrs, 'leakyreluAlpha') ?? 0.2));
    case 'prelu': return where(isOn, dy, mul(dy, prelu as Tensor));
    case 'sigmoid': return mul(dy, mul(sigmoid(z), sub(1, sigmoid(z))));
    default: throw new UnsupportedError(`matMul: activation must have a known gradient, got ${String(attrs['activation'])}`);
  }
}

/** act(a·b + bias): the product is computed again where an activation needs it, rather than kept. */
function fusedGradients(dy: Tensor, saved: readonly Tensor[], attrs: Attrs): Record<string, () => Tensor> {
  const [a, b] = saved as [Tensor, Tensor];
  const isPrelu = attrs['activation'] === 'prelu';
  const prelu = isPrelu ? saved[saved.length - 1] : undefined;
  const bias = saved.length === (isPrelu ? 4 : 3) ? saved[2] : undefined;
  const product = (): Tensor => matMul(a, b, attr<boolean>(attrs, 'transposeA'), attr<boolean>(attrs, 'transposeB'));
  const beforeBias = (): Tensor => (bias === undefined ? product() : add(product(), bias));
  const isLinear = (attrs['activation'] ?? 'linear') === 'linear';
  const dz = (): Tensor => (isLinear ? dy : beforeActivation(dy, beforeBias(), prelu, attrs));
  return {
    ...operandGradients(dz, a, b, attrs),
    bias: () => clone(sumTo(dz(), (bias as Tensor).shape)),
    preluActivationWeights: () => sumTo(mul(dy, minimum(beforeBias(), 0)), (prelu as Tensor).shape),
  };
}

/** matMulGradients — batched matrix products, with batch axes broadcast in either operand. */
export const matMulGradients: readonly GradConfig[] = [
  {
    kernelName: 'BatchMatMul',
    inputsToSave: ['a', 'b'],
    gradFunc: (dy, [a, b], attrs) => operandGradients(() => dy as Tensor, a as Tensor, b as Tensor, attrs),
  },
  {
    kernelName: '_FusedMatMul',
    inputsToSave: presentInputs('a', 'b', 'bias', 'preluActivationWeights'),
    gradFunc: (dy, saved, attrs) => fusedGradients(dy as Tensor, saved, attrs),
  },
];

import { dispose, tidy, type Tensor } from '@tensorflow/tfjs-core';

export type Matrix64 = { readonly values: ArrayLike<number>; readonly rows: number; readonly columns: number };

const at = ({ values, columns }: Matrix64, row: number, column: number): number => values[row * columns + column]!;

/** svd64 — the leading singular triple by one-sided Jacobi rotations of the columns: nothing of a power iteration in it. */
export function svd64(matrix: Matrix64): { sigma: number; u: Float64Array; v: Float64Array } {
  const { values, rows, columns } = matrix;
  if (columns > rows) {
    const transposed = Float64Array.from({ length: rows * columns }, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
    const { sigma, u, v } = svd64({ values: transposed, rows: columns, columns: rows });
    return { sigma, u: v, v: u };
  }
  const a = Array.from({ length: columns }, (_, c) => Float64Array.from({ length: rows }, (__, r) => at(matrix, r, c)));
  const basis = Array.from({ length: columns }, (_, c) => Float64Array.from({ length: columns }, (__, i) => Number(i === c)));
  for (let sweep = 0, largest = 1; sweep < 60 && largest > 1e-14; sweep++) {
    largest = 0;
    for (let p = 0; p < columns; p++) for (let q = p + 1; q < columns; q++) largest = Math.max(largest, rotate(a, basis, p, q));
  }
  const norms = a.map((column) => Math.sqrt(dot64(column, column)));
  const best = norms.indexOf(Math.max(...norms));
  const sigma = norms[best]!;
  return { sigma, u: a[best]!.map((value) => value / sigma), v: basis[best]! };
}

/** Makes columns p and q orthogonal; returns the cosine between them before. */
function rotate(a: Float64Array[], basis: Float64Array[], p: number, q: number): number {
  const [alpha, beta, gamma] = [dot64(a[p]!, a[p]!), dot64(a[q]!, a[q]!), dot64(a[p]!, a[q]!)];
  const cosine = Math.abs(gamma) / Math.sqrt(alpha * beta);
  if (!(cosine > 0)) return 0;
  const zeta = (beta - alpha) / (2 * gamma);
  const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const c = 1 / Math.sqrt(1 + tangent * tangent);
  for (const columns of [a, basis]) {
    const [x, y] = [columns[p]!, columns[q]!];
    for (let i = 0; i < x.length; i++) {
      const before = x[i]!;
      x[i] = c * before - c * tangent * y[i]!;
      y[i] = c * tangent * before + c * y[i]!;
    }
  }
  return cosine;
}

export const dot64 = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);

/** sigma64 — uᵀ W v. */
export function sigma64(matrix: Matrix64, u: ArrayLike<number>, v: ArrayLike<number>): number {
  let sum = 0;
  for (let r = 0; r < matrix.rows; r++) for (let c = 0; c < matrix.columns; c++) sum += u[r]! * at(matrix, r, c) * v[c]!;
  return sum;
}

/** effective64 — (gamma / sigma) · W. */
export function effective64(matrix: Matrix64, gamma: number, u: ArrayLike<number>, v: ArrayLike<number>): Float64Array {
  const sigma = sigma64(matrix, u, v);
  return Float64Array.from(matrix.values, (value) => (gamma / sigma) * value);
}

/** valuesOf — the values of named tensors. */
export async function valuesOf<K extends string>(tensors: Record<K, Tensor>): Promise<Record<K, Float32Array>> {
  const entries = await Promise.all(Object.entries<Tensor>(tensors).map(async ([name, x]) => [name, await x.data()] as const));
  return Object.fromEntries(entries) as Record<K, Float32Array>;
}

/** numberOf — the value of a scalar that `f` makes, which is freed. */
export async function numberOf(f: () => Tensor): Promise<number> {
  const x = tidy(f);
  const [value] = await x.data();
  dispose(x);
  return value!;
}

import { add, div, matMul, mul, sqrt, square, stack, sum, tidy, unstack, type Tensor2D, type Tensor3D } from '@tensorflow/tfjs-core';
import { checkDtype, checkInteger, checkRank } from '@evenkeel/core-tensor';

/** Of the polynomial a·x + b·x³ + c·x⁵: steepest at 0 among those that keep [0, 1] near 1 when they are repeated. */
const [A, B, C] = [3.4445, -4.775, 2.0315];
/** Added to the Frobenius norm: a matrix of zeros stays one. */
const EPS = 1e-7;

export type OrthogonaliseOptions = { steps?: number };

/**
 * orthogonalise — for each matrix U·S·Vᵀ about U·Vᵀ: the same singular vectors, with singular values between 0.7 and 1.2.
 *
 *     X₀ = G / ‖G‖        X ← a·X + (b·XXᵀ + c·(XXᵀ)²)·X
 *
 * A Newton–Schulz iteration: nothing but products, of all matrices of one shape at once. Singular values far below the largest (a
 * thousandth, with 5 steps) do not get there.
 *
 * @param matrices  `r c` each, float32; borrowed.
 * @param options   `steps` (5).
 * @returns         matrices of the same shapes; the caller's.
 * @throws ShapeError   if one is no float32 matrix.
 * @throws ConfigError  if `steps` is not an integer ≥ 1.
 *
 * Source: Jordan et al. 2024, "Muon", whose coefficients these are; the iteration: Bernstein & Newhouse 2024, arXiv:2409.20325.
 */
export function orthogonalise(matrices: readonly Tensor2D[], { steps = 5 }: OrthogonaliseOptions = {}): Tensor2D[] {
  checkInteger('orthogonalise', 'steps', steps);
  matrices.forEach((each, i) => {
    checkRank('orthogonalise', `matrices[${i}]`, each, 2);
    checkDtype('orthogonalise', `matrices[${i}]`, each, 'float32');
  });
  return tidy('orthogonalise', () => {
    const results: Tensor2D[] = [];
    for (const places of placesByShape(matrices)) {
      const batch = newtonSchulz(stack(places.map((place) => matrices[place] as Tensor2D)) as Tensor3D, steps);
      (unstack(batch) as Tensor2D[]).forEach((each, i) => { results[places[i] as number] = each; });
    }
    return results;
  });
}

/** Matrices of one shape, by their places in the list. */
function placesByShape(matrices: readonly Tensor2D[]): number[][] {
  const byShape = new Map<string, number[]>();
  matrices.forEach(({ shape }, place) => byShape.set(shape.join(), [...byShape.get(shape.join()) ?? [], place]));
  return [...byShape.values()];
}

function newtonSchulz(batch: Tensor3D, steps: number): Tensor3D {
  const [, rows, columns] = batch.shape;
  const isWide = rows <= columns;
  let x: Tensor3D = tidy(() => div(batch, add(sqrt(sum(square(batch), [1, 2], true)), EPS))); // k r c
  for (let step = 0; step < steps; step++) {
    x = tidy(() => {
      const gram = matMul(x, x, !isWide, isWide); // the smaller of x xᵀ and xᵀ x: k s s
      const polynomial = add(mul(gram, B), mul(matMul(gram, gram), C));
      return add(mul(x, A), isWide ? matMul(polynomial, x) : matMul(x, polynomial)) as Tensor3D;
    });
  }
  return x;
}

import { checkDtype, checkLastDim, checkMinRank, checkPositive, checkRank, checkShape } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';

/** checkNorm — as `checkRows`, and `eps` is positive. */
export function checkNorm(fn: string, x: Tensor, vectors: { weight?: Tensor; bias?: Tensor }, eps: number): void {
  checkRows(fn, x, vectors);
  checkPositive(fn, 'eps', eps);
}

/** checkRows — x is float32 of rank ≥ 1, each vector float32 and as long as its rows. */
export function checkRows(fn: string, x: Tensor, vectors: { weight?: Tensor; bias?: Tensor }): void {
  checkDtype(fn, 'x', x, 'float32');
  checkMinRank(fn, 'x', x, 1);
  for (const [name, vector] of Object.entries(vectors)) {
    if (vector === undefined) continue;
    checkDtype(fn, name, vector, 'float32');
    checkRank(fn, name, vector, 1);
    checkLastDim(fn, 'x', x, vector.size);
  }
}

/** checkResidual — float32 of the shape of x. */
export function checkResidual(fn: string, x: Tensor, residual: Tensor): void {
  checkDtype(fn, 'residual', residual, 'float32');
  checkShape(fn, 'residual', residual, x.shape);
}

import { sqrt, square, stack, sum, tidy, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { checkDtype, ConfigError, hasListKernel, runListKernel, treeEntries, type Tree } from '@evenkeel/core-tensor';
import { argAt } from './leaves.ts';

/**
 * globalNorm — the Euclidean norm of all leaves taken as one vector: √(Σ over leaves of Σ x²).
 *
 * @param tree  float32 tensors; borrowed.
 * @returns     a scalar owned by the caller; Infinity if the sum of squares overflows float32 (a norm above about 1.8e19).
 * @throws ConfigError  if the tree has no leaf.
 * @throws ShapeError   if a leaf is not float32.
 */
export function globalNorm(tree: Tree<Tensor>): Scalar {
  const entries = treeEntries<Tensor>(tree);
  if (entries.length === 0) throw new ConfigError('globalNorm: tree must have at least one leaf, got none');
  for (const [path, leaf] of entries) checkDtype('globalNorm', argAt('tree', path), leaf, 'float32');
  const leaves = entries.map(([, leaf]) => leaf);
  if (hasListKernel('evenkeel/globalNorm')) return runListKernel('evenkeel/globalNorm', { x: leaves }) as unknown as Scalar;
  return tidy('globalNorm', () => sqrt(sum(stack(leaves.map((leaf) => tidy(() => sum(square(leaf))))))) as Scalar);
}

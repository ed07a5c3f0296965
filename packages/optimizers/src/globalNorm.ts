import { sqrt, square, stack, sum, tidy, type Scalar, type Tensor } from '@tensorflow/tfjs-core';
import { ConfigError, hasKernel, runListKernel, treeLeaves, type Tree } from '@evenkeel/core-tensor';

/**
 * globalNorm — the Euclidean norm of all leaves taken as one vector: √(Σ over leaves of Σ x²).
 *
 * @param tree  float32 tensors; borrowed.
 * @returns     a scalar owned by the caller; Infinity if the sum of squares overflows float32 (a norm above about 1.8e19).
 * @throws ConfigError  if the tree has no leaf.
 */
export function globalNorm(tree: Tree<Tensor>): Scalar {
  const leaves = treeLeaves<Tensor>(tree);
  if (leaves.length === 0) throw new ConfigError('globalNorm: tree must have at least one leaf, got none');
  if (hasKernel('evenkeel/globalNorm')) return runListKernel('evenkeel/globalNorm', { x: leaves }) as unknown as Scalar;
  return tidy('globalNorm', () => sqrt(sum(stack(leaves.map((leaf) => tidy(() => sum(square(leaf))))))) as Scalar);
}

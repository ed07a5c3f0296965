import { dispose, type Variable } from '@tensorflow/tfjs-core';
import { treeLeaves, type Params, type Tree } from '@evenkeel/core-tensor';
import { foldSigmaReparam } from '@evenkeel/sigma-reparam';

/** withPlainParams — calls `use` with parameters as others use them: reparametrised weights as the matrices that they stand for. */
export async function withPlainParams<P extends Params, T>(params: P, state: Tree<Variable>, use: (params: P, isFolded: boolean) => Promise<T>): Promise<T> {
  if (treeLeaves(state).length === 0) return use(params, false);
  const folded = foldSigmaReparam(params, state) as P;
  try {
    return await use(folded, true);
  } finally {
    dispose(folded as never);
  }
}

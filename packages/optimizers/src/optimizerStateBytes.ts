import { Tensor } from '@tensorflow/tfjs-core';
import { treeLeaves, type OptimizerState, type Tree } from '@evenkeel/core-tensor';

const BYTES = { float32: 4, int32: 4, bool: 1, complex64: 8, string: NaN } as const;

/**
 * optimizerStateBytes — the memory that an optimizer's tensors take, in bytes: AdamW's is twice that of the parameters, SGD-SaI's once.
 *
 * @param state  what `init` has made; its plain counters count for nothing.
 */
export function optimizerStateBytes(state: OptimizerState): number {
  const tensors = treeLeaves<unknown>(state as unknown as Tree<unknown>).filter((leaf): leaf is Tensor => leaf instanceof Tensor);
  return tensors.reduce((sum, { size, dtype }) => sum + size * BYTES[dtype], 0);
}

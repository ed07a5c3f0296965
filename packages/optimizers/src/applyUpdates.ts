import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { checkDtype, checkShape, treeEntries, type Tree } from '@evenkeel/core-tensor';
import { argAt, leafOf } from './leaves.ts';
import { addScaled } from './scaledSums.ts';

/**
 * applyUpdates — adds its update to every parameter, in place.
 *
 * @param params   tree of variables; on backends without the kernel each gets a new buffer, one at a time.
 * @param updates  tree of the same structure and shapes; borrowed.
 * @throws ConfigError  if `updates` lacks a parameter's path.
 * @throws ShapeError   if one is not float32, or an update has another shape than its parameter; then no parameter was changed.
 */
export function applyUpdates(params: Tree<Variable>, updates: Tree<Tensor>): void {
  const updateOf = leafOf<Tensor>('applyUpdates', 'updates', updates);
  const entries = treeEntries<Variable>(params);
  const matching = entries.map(([path, param]) => {
    const update = updateOf(path);
    checkDtype('applyUpdates', argAt('params', path), param, 'float32');
    checkDtype('applyUpdates', argAt('updates', path), update, 'float32');
    checkShape('applyUpdates', argAt('updates', path), update, param.shape);
    return update;
  });
  addScaled(entries.map(([, param]) => param), 1, matching);
}

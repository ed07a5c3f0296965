import { scalar, tensor1d } from '@tensorflow/tfjs-core';
import { treeLeaves, valueAndGrad } from '@evenkeel/core-tensor';
import { globalNorm } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend, readValues } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free, makeTensors } from './helpers.ts';

forEachBackend(() => {
  it('globalNorm(tree) has a gradient', async () => {
    const params = { x: tensor1d([3, 4]) };
    const { value, grads } = valueAndGrad((p: typeof params) => globalNorm(p), params);
    await expectClose(grads.x, [0.6, 0.8]);
    free(params, value, grads);
  });

  it('globalNorm(tree) names a leaf that is not float32', () => {
    const tree = { a: tensor1d([1, 2], 'int32') };
    expect(() => globalNorm(tree)).toThrow('globalNorm: tree.a must have dtype float32, got int32');
    free(tree);
  });

  it('globalNorm(tree) is the Euclidean norm of all leaves together', async () => {
    const tree = makeTensors(7);
    const values = await Promise.all(treeLeaves(tree).map(async (leaf) => [...(await readValues(leaf)).data]));
    const norm = globalNorm(tree);
    await expectClose(norm, Math.hypot(...values.flat()));
    await expectNoLeak(() => globalNorm(tree));
    free(tree, norm);
  });

  it('globalNorm(tree) is NaN if any leaf is, and Infinity if the sum of squares overflows', async () => {
    const trees = [{ a: tensor1d([1, NaN]), b: scalar(1) }, { a: tensor1d([1e20, 1]), b: scalar(1) }];
    const norms = trees.map((tree) => globalNorm(tree));
    expect((await norms[0]!.data())[0]).toBeNaN();
    expect((await norms[1]!.data())[0]).toBe(Infinity);
    free(trees, norms);
  });
});

it('globalNorm({}) says that there is nothing to measure', () => {
  expect(() => globalNorm({})).toThrow('globalNorm: tree must have at least one leaf, got none');
});

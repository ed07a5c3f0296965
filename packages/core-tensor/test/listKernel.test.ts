import { clone, engine, tensor1d } from '@tensorflow/tfjs-core';
import { param, unshare } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';

forEachBackend(() => {
  it('unshare(variables) leaves values as they are and moves only what another tensor reads', async () => {
    const [alone, shared] = [param(() => tensor1d([1, -0, NaN])), param(() => tensor1d([2, -Infinity, 3]))];
    const copy = clone(shared);
    const before = alone.dataId;
    unshare([alone, shared]);
    expect(alone.dataId).toBe(before);
    expect(shared.dataId).not.toBe(copy.dataId);
    expect(engine().backend.refCount(shared.dataId)).toBe(1);
    expect(Array.from(await shared.data())).toEqual([2, -Infinity, 3]);
    expect(Array.from(await copy.data())).toEqual([2, -Infinity, 3]);
    for (const each of [alone, shared, copy]) each.dispose();
  });
});

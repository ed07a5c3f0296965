import { clone, tensor1d, tensor2d } from '@tensorflow/tfjs-core';
import { param } from '@evenkeel/core-tensor';
import { applyUpdates } from '@evenkeel/optimizers';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { free } from './helpers.ts';

const make = () => ({ a: param(() => tensor1d([1, 2, 3])), blocks: [{ b: param(() => tensor2d([[4]])) }] });

forEachBackend(() => {
  it('applyUpdates(params, updates) adds in place, borrows the updates and leaks nothing', async () => {
    const params = make();
    const updates = { a: tensor1d([10, 20, 30]), blocks: [{ b: tensor2d([[-4]]) }] };
    await expectNoLeak(() => applyUpdates(params, updates));
    await expectClose(params.a, [11, 22, 33]);
    await expectClose(params.blocks[0]!.b, [[0]]);
    await expectClose(updates.a, [10, 20, 30]);
    free(params, updates);
  });

  it('applyUpdates(params, updates) with a wrong shape or a missing path changes no parameter', async () => {
    const params = make();
    const [a, b] = [tensor1d([10, 20, 30]), tensor1d([1, 2])];
    expect(() => applyUpdates(params, { a, blocks: [{ b }] })).toThrow('applyUpdates: updates.blocks.0.b must have shape [1, 1], got [2]');
    expect(() => applyUpdates(params, { a, blocks: [] })).toThrow('applyUpdates: updates must have a leaf for blocks.0.b, got 1 others');
    await expectClose(params.a, [1, 2, 3]);
    free(params, [a, b]);
  });

  it('applyUpdates(params, updates) changes no tensor that shared the values of a parameter', async () => {
    const params = { a: param(() => tensor1d([1, 2, 3])) };
    const before = clone(params.a);
    const update = tensor1d([10, 10, 10]);
    applyUpdates(params, { a: update });
    expect(Array.from(await before.data())).toEqual([1, 2, 3]);
    expect(Array.from(await params.a.data())).toEqual([11, 12, 13]);
    free(params, before, update);
  });

  it('applyUpdates(params, updates) names what is not float32', () => {
    const params = { a: param(() => tensor1d([1, 2])) };
    const whole = { a: tensor1d([1, 2], 'int32') };
    expect(() => applyUpdates(params, whole)).toThrow('applyUpdates: updates.a must have dtype float32, got int32');
    free(params, whole);
  });

  it('applyUpdates(params, updates) adds both updates to a parameter that stands at two places', async () => {
    const tied = param(() => tensor1d([1, 2]));
    const [first, second] = [tensor1d([10, 10]), tensor1d([100, 200])];
    applyUpdates({ a: tied, b: tied }, { a: first, b: second });
    expect(Array.from(await tied.data())).toEqual([111, 212]);
    free(tied, first, second);
  });
});

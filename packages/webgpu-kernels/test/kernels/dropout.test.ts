import { GPU_BACKEND, randomBits, seedKey, StepNumber } from '@evenkeel/core-tensor';
import { forEachBackend } from '@evenkeel/testing';
import { dispose, ones } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { run } from './run.ts';

forEachBackend([GPU_BACKEND], () => {
  it.each([0.1, 0.5, 0.999999])('dropout at rate %f drops the elements whose bits are below it, on this backend as on every other', async (rate) => {
    const seed = 2 ** 40 + 123;
    const [key0, key1] = seedKey(seed);
    const x = ones([10_003]);
    const [y] = run('dropout', { x }, { rate, key0, key1 });
    const kept = Array.from(randomBits(seed, 10_003), (bits) => (bits >= rate * 2 ** 32 ? Math.fround(1 / (1 - rate)) : 0));
    expect([...await y!.data()]).toEqual(kept);
    dispose([x, y!]);
  });

  it('the key of dropout may be numbers of the step', async () => {
    const [key0, key1] = seedKey(77);
    const x = ones([1000]);
    const [y] = run('dropout', { x }, { rate: 0.5, key0: new StepNumber(() => key0), key1: new StepNumber(() => key1) });
    const [expected] = run('dropout', { x }, { rate: 0.5, key0, key1 });
    expect(await y!.data()).toEqual(await expected!.data());
    dispose([x, y!, expected!]);
  });
});

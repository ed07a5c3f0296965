import { forEachBackend } from '@evenkeel/testing';
import { matMul, mul, ones, tidy, type Tensor2D } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';

/** Turns of the event loop until `promise` is settled, and the milliseconds. */
async function turnsUntil(promise: Promise<unknown>): Promise<{ turns: number; ms: number }> {
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  const start = performance.now();
  setImmediate(count);
  await promise;
  isDone = true;
  return { turns, ms: performance.now() - start };
}

/** Products that take a software adapter a tenth of a second. */
const slow = (): Tensor2D => tidy(() => {
  let y = ones([512, 512]) as Tensor2D;
  for (let i = 0; i < 4; i++) y = mul(matMul(y, y), 1 / 512);
  return y;
});

forEachBackend(['evenkeel-webgpu'], () => {
  it('the event loop rests while a reading is awaited, in turns of up to half a millisecond', async () => {
    const warm = slow();
    await warm.data();
    const y = slow();
    const { turns, ms } = await turnsUntil(y.data());
    // Without rests there are dozens in a millisecond. Before the first rest some 100 go by, and then 100 more that grow.
    expect(turns).toBeLessThan(300 + 3 * ms);
    expect((await y.data())[0]).toBeCloseTo(1);
    warm.dispose();
    y.dispose();
  });
});

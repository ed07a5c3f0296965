import { forEachBackend } from '@evenkeel/testing';
import { dispose, matMul, mul, ones, tidy, type Tensor2D } from '@tensorflow/tfjs-core';
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
  it('the event loop rests in a long wait, for half a millisecond in each turn', async () => {
    const warm = slow();
    await warm.data();
    const y = slow();
    const { turns, ms } = await turnsUntil(y.data());
    expect(ms).toBeGreaterThan(40); // or the products must be made slower
    // Without rests there are dozens of turns in a millisecond; so are they in the first 8.
    expect(turns).toBeLessThan(8 * 150 + 3 * ms);
    expect((await y.data())[0]).toBeCloseTo(1);
    dispose([warm, y]);
  });

  it('there is one rest per turn, however many short readings came before', async () => {
    const y = ones([4]);
    for (let i = 0; i < 300; i++) {
      const z = mul(y, 2);
      await z.data();
      z.dispose();
    }
    const after = slow();
    const { setImmediate: original } = globalThis;
    let rests = 0;
    globalThis.setImmediate = ((f: () => void) => {
      if (f.name === 'rest') rests += 1;
      return original(f);
    }) as typeof setImmediate;
    try {
      const { turns } = await turnsUntil(after.data());
      expect(rests).toBeGreaterThan(0);
      expect(rests).toBeLessThan(turns + 5);
    } finally {
      globalThis.setImmediate = original;
    }
    dispose([y, after]);
  });
});

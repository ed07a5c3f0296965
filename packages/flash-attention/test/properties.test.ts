import { flashAttention } from '@evenkeel/flash-attention';
import { expectClose, forEachBackend, randomArray, randomTensor } from '@evenkeel/testing';
import { concat, dispose, gather, mul, slice, tensor, type Tensor } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { it } from 'vitest';

const shape = (t: number, h = 2) => [1, t, h, 4] as [number, number, number, number];

const makeInputs = (t: number, s: number, seed: number) =>
  [randomTensor(shape(t), { seed }), randomTensor(shape(s), { seed: seed + 1000 }), randomTensor(shape(s), { seed: seed + 2000 })] as [Tensor, Tensor, Tensor];

forEachBackend(() => {
  it('flashAttention(q, k, v, { causal }) does not see the future: keys after a position change nothing before it', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 2, max: 12 }), fc.nat(1000), fc.nat(1000), async (t, cut, seed) => {
      const past = 1 + (cut % (t - 1)); // positions that stay as they are
      const [q, k, v] = makeInputs(t, t, seed);
      const future = tensor(randomArray((t - past) * 8, { seed: seed + 1, std: 10 }), shape(t - past));
      const changed = [k, v].map((x) => {
        const kept = slice(x, [0, 0, 0, 0], shape(past));
        const joined = concat([kept, future], 1);
        kept.dispose();
        return joined;
      }) as [Tensor, Tensor];
      const [y, z] = [flashAttention(q, k, v, { causal: true }), flashAttention(q, ...changed, { causal: true })];
      const [before, after] = [slice(y, [0, 0, 0, 0], shape(past)), slice(z, [0, 0, 0, 0], shape(past))];
      await expectClose(after, before, { rtol: 0, atol: 0 });
      dispose([q, k, v, future, changed, y, z, before, after]);
    }), { numRuns: 15, seed: 1 });
  });

  it('flashAttention(q, k, v) does not depend on the order of the keys', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.nat(1000), async (s, seed) => {
      const [q, k, v] = makeInputs(3, s, seed);
      const reversed = Int32Array.from({ length: s }, (_, i) => s - 1 - i);
      const order = tensor(reversed, [s], 'int32');
      const [k2, v2] = [gather(k, order, 1), gather(v, order, 1)];
      const [y, z] = [flashAttention(q, k, v), flashAttention(q, k2, v2)];
      await expectClose(z, y, { atol: 1e-5 });
      dispose([q, k, v, order, k2, v2, y, z]);
    }), { numRuns: 15, seed: 1 });
  });

  it('flashAttention(q, k, v) is linear in v and stays between the extremes of v', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 9 }), fc.double({ min: -5, max: 5, noNaN: true }), fc.nat(1000), async (s, c, seed) => {
      const [q, k, v] = makeInputs(4, s, seed);
      const scaled = mul(v, c);
      const [y, z] = [flashAttention(q, k, v), flashAttention(q, k, scaled)];
      const expected = mul(y, c);
      await expectClose(z, expected, { rtol: 1e-4, atol: 1e-5 });
      const [values, bounds] = [await y.data(), await v.data()];
      const [low, high] = [Math.min(...bounds) - 1e-5, Math.max(...bounds) + 1e-5];
      await expectClose(values.map((value) => Math.min(Math.max(value, low), high)), values, { rtol: 0, atol: 0 });
      dispose([q, k, v, scaled, y, z, expected]);
    }), { numRuns: 15, seed: 1 });
  });

  it('flashAttention(q, k, v) with key heads repeated by hand equals grouped heads', async () => {
    const q = randomTensor([1, 5, 6, 4], { seed: 1 });
    const [k, v] = [randomTensor([1, 7, 2, 4], { seed: 2 }), randomTensor([1, 7, 2, 4], { seed: 3 })];
    const order = tensor([0, 0, 0, 1, 1, 1], [6], 'int32');
    const [k6, v6] = [gather(k, order, 2), gather(v, order, 2)];
    const [y, z] = [flashAttention(q, k, v, { causal: true }), flashAttention(q, k6, v6, { causal: true })];
    await expectClose(y, z, { atol: 1e-6 });
    dispose([q, k, v, order, k6, v6, y, z]);
  });
});

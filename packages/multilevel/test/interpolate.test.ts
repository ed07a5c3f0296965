import { tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import type { Tree } from '@evenkeel/core-tensor';
import { interpolate } from '@evenkeel/multilevel';
import { expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { free, valuesOf } from './helpers.ts';

const tree = (seed: number): { a: Tensor; b: { weight: Tensor }[] } => ({ a: randomTensor([65], { seed }), b: [{ weight: randomTensor([3, 1], { seed: seed + 1 }) }] });

forEachBackend(() => {
  it('interpolate(saved, decoalesced, alpha) is the first at 0 and the second at 1, bit for bit, zeros of either sign and infinities included', async () => {
    const [saved, grown] = [{ x: tensor1d([-0, 0, Infinity, 1e-40, 3]) }, { x: tensor1d([0, -0, 1, 2, -Infinity]) }];
    const [first, second] = [interpolate(saved, grown, 0), interpolate(saved, grown, 1)];
    expect(await valuesOf(first)).toEqual(await valuesOf(saved));
    expect(await valuesOf(second)).toEqual(await valuesOf(grown));
    free(saved, grown, first, second);
  });

  it('interpolate(saved, decoalesced, alpha) weights every parameter by 1 − alpha and alpha', async () => {
    const [saved, grown] = [tree(1), tree(5)];
    for (const alpha of [0.25, 0.5, 0.9]) {
      const [before, after, between] = [await valuesOf(saved), await valuesOf(grown), interpolate(saved, grown, alpha)];
      for (const [path, values] of Object.entries(await valuesOf(between))) {
        const expected = values.map((_, i) => (1 - alpha) * before[path]![i]! + alpha * after[path]![i]!);
        await expectClose(Float32Array.from(values), Float32Array.from(expected), { rtol: 1e-6, atol: 1e-7 });
      }
      free(between);
    }
    free(saved, grown);
  });

  it('interpolate gives variables of its own: changing one changes neither of the two trees', async () => {
    const [saved, grown] = [tree(1), tree(5)];
    const before = await valuesOf(saved);
    const copy = interpolate(saved, grown, 0) as unknown as { a: { assign(x: Tensor): void } };
    const other = randomTensor([65], { seed: 9 });
    copy.a.assign(other);
    expect(await valuesOf(saved)).toEqual(before);
    expect((await valuesOf(copy as never)).a).not.toEqual(before.a);
    free(saved, grown, copy, other);
  });

  it('interpolate frees what it makes, also on error', async () => {
    const [saved, grown] = [tree(1), tree(5)];
    await expectNoLeak(() => interpolate(saved, grown, 0.5));
    await expectNoLeak(() => interpolate(saved, { a: grown.a }, 0.5), { throws: 'interpolate: decoalesced must have b.0.weight, got 1 others' });
    free(saved, grown);
  });
});

describe('interpolate', () => {
  it.each<[Tree<Tensor>, Tree<Tensor>, number, string]>([
    [{}, {}, 1.5, 'interpolate: alpha must be between 0 and 1, got 1.5'],
    [{}, {}, NaN, 'interpolate: alpha must be between 0 and 1, got NaN'],
    [{ a: tensor1d([1, 2]) }, { a: tensor1d([1]) }, 0.5, 'interpolate: decoalesced.a must have shape [2], got [1]'],
    [{}, { a: tensor1d([1]) }, 0.5, 'interpolate: decoalesced must have the parameters of saved only, got a besides'],
  ])('says what does not fit: %#', (saved, grown, alpha, message) => {
    expect(() => interpolate(saved, grown, alpha)).toThrow(message);
  });
});

import { dispose, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { attentionEntropyLowerBound, attentionRowEntropyLowerBound } from '@evenkeel/sigma-reparam';
import { expectClose, expectNoLeak, forEachBackend, logSumExp64, randomArray } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

/** −Σ p ln p of the softmax of one row. */
function entropy64(row: ArrayLike<number>): number {
  const lse = logSumExp64(row, row.length)[0]!;
  return -Array.from(row).reduce((sum, x) => sum + Math.exp(x - lse) * (x - lse), 0);
}

const norm64 = (row: readonly number[]): number => Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
const extremal = (S: number, T: number): number[] => Array.from({ length: T }, (_, i) => S * (i === 0 ? Math.sqrt((T - 1) / T) : -1 / Math.sqrt(T * (T - 1))));

describe('attentionEntropyLowerBound', () => {
  it.each([2, 4, 16, 64])('no row of %i logits with 2-norm S has less entropy than the bound', (T) => {
    let closest = Infinity;
    for (let seed = 1; seed <= 500; seed++) {
      const noise = Array.from(randomArray(T, { seed }), (x, i) => (seed % 3 === 0 && i > 0 ? 0.1 * x - 0.3 : x)); // a third of them near the extremal row
      for (const S of [0, 0.5, 2, 5, 10, 40]) {
        const row = noise.map((x) => (x * S) / norm64(noise));
        closest = Math.min(closest, entropy64(row) - attentionEntropyLowerBound(S, T));
      }
    }
    expect(closest).toBeGreaterThan(-1e-12);
    expect(closest).toBeLessThan(1e-3); // S = 0 and S = 40 touch it
  });

  it.each([2, 4, 16, 64])('the extremal row of %i logits attains the bound to 1e-6', (T) => {
    for (const S of [0.5, 1, 3, 10]) {
      expect(norm64(extremal(S, T))).toBeCloseTo(S, 10);
      expect(Math.abs(entropy64(extremal(S, T)) - attentionEntropyLowerBound(S, T))).toBeLessThan(1e-6);
    }
  });

  it('the bound is ln T at S = 0, falls with S as T·S·e^(−S), and is 0 in the end and for one key', () => {
    for (const T of [2, 7, 64, 1024]) expect(attentionEntropyLowerBound(0, T)).toBeCloseTo(Math.log(T), 12);
    const bounds = [0, 1, 2, 4, 8, 16, 32].map((S) => attentionEntropyLowerBound(S, 64));
    expect(bounds.every((bound, i) => i === 0 || bound < bounds[i - 1]!)).toBe(true);
    const [S, T] = [30, 1000];
    const ratio = attentionEntropyLowerBound(S, T) / (T * S * Math.exp(-S * Math.sqrt(T / (T - 1))));
    expect(ratio).toBeGreaterThan(1);
    expect(ratio).toBeLessThan(1.1);
    expect(attentionEntropyLowerBound(1e300, 8)).toBe(0);
    expect(attentionEntropyLowerBound(3, 1)).toBe(0);
  });

  it('attentionEntropyLowerBound(S, T) names what is out of range', () => {
    expect(() => attentionEntropyLowerBound(-1, 4)).toThrow('attentionEntropyLowerBound: spectralNorm must be between 0 and');
    expect(() => attentionEntropyLowerBound(NaN, 4)).toThrow('attentionEntropyLowerBound: spectralNorm must be between 0 and');
    expect(() => attentionEntropyLowerBound(1, 0)).toThrow('attentionEntropyLowerBound: T must be an integer ≥ 1, got 0');
  });
});

forEachBackend(() => {
  it('attentionRowEntropyLowerBound(logits) is the bound of each row for its own norm about its mean', async () => {
    const rows = [...[1, 2, 3].map((seed) => Array.from(randomArray(9, { seed, std: 2, mean: 5 }))), extremal(4, 9).map((x) => x - 70), Array<number>(9).fill(3)];
    const logits = tensor([rows, rows.map((row) => row.map((x) => 3 * x))]); // b t s
    const bound = attentionRowEntropyLowerBound(logits);
    const expected = [1, 3].map((factor) => rows.map((row) => {
      const mean = row.reduce((sum, x) => sum + x, 0) / 9;
      return attentionEntropyLowerBound(norm64(row.map((x) => factor * (x - mean))), 9);
    }));
    await expectClose(bound, expected, { rtol: 1e-4, atol: 1e-5 });
    const values = Array.from(await bound.data());
    expect(rows.every((row, i) => values[i]! <= entropy64(row) + 1e-5)).toBe(true);
    expect(values[3]).toBeCloseTo(entropy64(extremal(4, 9)), 3); // sharp
    expect(values[4]).toBeCloseTo(Math.log(9), 5); // uniform
    dispose([logits, bound]);
  });

  it('attentionRowEntropyLowerBound(logits, { causal }) counts the keys that each query sees, and only these', async () => {
    const [t, s] = [3, 5];
    const noise = randomArray(t * s, { seed: 4 });
    const sees = (i: number): boolean => i % s <= Math.floor(i / s) + s - t;
    const [plain, poisoned] = [NaN, -Infinity].map((hidden) => tensor(noise.map((x, i) => (sees(i) ? x : hidden)), [1, t, s])) as [Tensor, Tensor];
    const [bound, other] = [attentionRowEntropyLowerBound(plain, { causal: true }), attentionRowEntropyLowerBound(poisoned, { causal: true })];
    const expected = Array.from({ length: t }, (_, i) => {
      const row = Array.from(noise.subarray(i * s, i * s + i + s - t + 1));
      const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
      return attentionEntropyLowerBound(norm64(row.map((x) => x - mean)), row.length);
    });
    await expectClose(bound, [expected], { rtol: 1e-4, atol: 1e-5 });
    await expectClose(other, bound, { rtol: 0, atol: 0 });
    const square = tensor(noise.subarray(0, 9), [3, 3]);
    const first = attentionRowEntropyLowerBound(square, { causal: true });
    expect((await first.data())[0]).toBe(0); // one key
    dispose([plain, poisoned, bound, other, square, first]);
  });

  it('attentionRowEntropyLowerBound(logits) adds one tensor, and names what does not fit', async () => {
    const [logits, row, integers] = [tensor([[1, 2], [3, 4]]), tensor([1, 2]), tensor([[1, 2]], [1, 2], 'int32')];
    await expectNoLeak(() => attentionRowEntropyLowerBound(logits, { causal: true }));
    await expectNoLeak(() => attentionRowEntropyLowerBound(row), { throws: 'attentionRowEntropyLowerBound: logits must have rank ≥ 2, got shape [2]' });
    await expectNoLeak(() => attentionRowEntropyLowerBound(integers), { throws: 'attentionRowEntropyLowerBound: logits must have dtype float32, got int32' });
    dispose([logits, row, integers]);
  });
});

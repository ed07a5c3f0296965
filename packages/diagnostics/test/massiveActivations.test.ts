import { ConfigError, ShapeError } from '@evenkeel/core-tensor';
import { findMassiveActivations, massiveActivationTracker } from '@evenkeel/diagnostics';
import { expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { mul, tensor, tensor2d, tensor3d, zeros } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

/** Values 1, −1, 1, … but for one. */
const flatBut = (rows: number, columns: number, at: number, value: number) =>
  tensor2d(Array.from({ length: rows * columns }, (_, i) => (i === at ? value : i % 2 === 0 ? 1 : -1)), [rows, columns]);

forEachBackend(() => {
  describe('findMassiveActivations(h)', () => {
    it('finds an entry of 1000 times the median, with its place, value and ratio', async () => {
      expect(await findMassiveActivations(flatBut(5, 7, 17, -1000))).toEqual([{ index: [2, 3], value: -1000, ratio: 1000 }]);
    });

    it('wants both: more than 100, and 1000 times the median or more', async () => {
      expect(await findMassiveActivations(flatBut(5, 7, 17, 999))).toEqual([]);
      const small = mul(flatBut(5, 7, 17, 1000), 0.0625);
      expect(await findMassiveActivations(small)).toEqual([]);
      expect(await findMassiveActivations(small, { absThreshold: 62 })).toHaveLength(1);
      expect(await findMassiveActivations(flatBut(5, 7, 17, 200), { ratioThreshold: 200 })).toHaveLength(1);
    });

    it('takes each sequence by itself, and puts the largest first', async () => {
      const h = tensor3d([[[1, 1], [2000, 1]], [[1, -3000], [1, 1]], [[3000, 3000], [3000, 3000]]]);
      expect(await findMassiveActivations(h)).toEqual([{ index: [1, 0, 1], value: -3000, ratio: 3000 }, { index: [0, 1, 0], value: 2000, ratio: 2000 }]);
    });

    it('refuses what are no hidden states', async () => {
      await expect(findMassiveActivations(tensor([1, 2]))).rejects.toThrow(new ShapeError('findMassiveActivations: h must have rank ≥ 2, got shape [2]'));
      await expect(findMassiveActivations(zeros([2, 2], 'int32'))).rejects.toThrow('h must have dtype float32, got int32');
      await expect(findMassiveActivations(zeros([2, 2]), { absThreshold: 0 })).rejects.toThrow('absThreshold must be a positive number, got 0');
      await expect(findMassiveActivations(zeros([2, 2]), { ratioThreshold: -1 })).rejects.toThrow('ratioThreshold must be a positive number, got -1');
    });
  });

  describe('massiveActivationTracker()', () => {
    it('reports the ratio of one large entry exactly, and the same of c·h', async () => {
      const tracker = massiveActivationTracker();
      await tracker.record(10, [flatBut(5, 7, 3, 1000)]);
      await tracker.record(20, [mul(flatBut(5, 7, 3, 1000), 0.125)]);
      expect(tracker.series(0)).toEqual([{ x: 10, y: 1000 }, { x: 20, y: 1000 }]);
    });

    it('takes the lower median of an even number of values', async () => {
      const tracker = massiveActivationTracker({ topK: 3 });
      await tracker.record(0, [tensor2d([[4, -1], [2, -3]]), tensor2d([[5, 4, 3], [2, 1, 0]])]);
      expect(tracker.readings).toEqual([
        { step: 0, layer: 0, tops: [4, 3, 2], median: 2, ratios: [2, 1.5, 1] },
        { step: 0, layer: 1, tops: [5, 4, 3], median: 2, ratios: [2.5, 2, 1.5] },
      ]);
      expect(tracker.series(1, 2)).toEqual([{ x: 0, y: 2 }]);
    });

    it('averages over sequences: means first, or ratios first', async () => {
      const h = tensor3d([[[1, 8], [1, 1]], [[3, 6], [3, 3]]]);
      const byDefault = massiveActivationTracker();
      const ofRatios = massiveActivationTracker({ average: 'meanOfRatios' });
      await Promise.all([byDefault.record(0, [h]), ofRatios.record(0, [h])]);
      expect(byDefault.series(0)).toEqual([{ x: 0, y: 7 / 2 }]);
      expect(ofRatios.series(0)).toEqual([{ x: 0, y: (8 + 2) / 2 }]);
    });

    it('agrees with sorting, at any size, and shows NaN', async () => {
      for (const [rows, columns] of [[1, 1], [3, 5], [65, 130]] as const) {
        const h = randomTensor([rows, columns] as never, { seed: rows });
        const sorted = (await h.data<'float32'>()).map(Math.abs).sort();
        const tracker = massiveActivationTracker({ topK: 1 });
        await tracker.record(1, [h]);
        expect(tracker.readings[0]).toMatchObject({ tops: [sorted.at(-1)], median: sorted[Math.floor((rows * columns - 1) / 2)] });
      }
      const broken = massiveActivationTracker();
      await broken.record(1, [tensor2d([[1, NaN, 3]])]);
      expect(broken.series(0)).toEqual([{ x: 1, y: NaN }]);
    });

    it('leaves no tensor behind', async () => {
      const h = flatBut(5, 7, 3, 1000);
      await expectNoLeak(async () => {
        await massiveActivationTracker().record(1, [h]);
        await findMassiveActivations(h);
      });
    });

    it('refuses what it cannot record or give', async () => {
      const tracker = massiveActivationTracker();
      await tracker.record(5, [zeros([1, 1])]);
      await expect(tracker.record(5, [])).rejects.toThrow(new ConfigError('massiveActivationTracker: step must be later than 5, got 5'));
      await expect(tracker.record(0.5, [])).rejects.toThrow('step must be an integer ≥ 0, got 0.5');
      expect(() => tracker.series(0, 2)).toThrow('k must be at most topK, 1, got 2');
      expect(() => tracker.series(-1)).toThrow('layer must be an integer ≥ 0, got -1');
      expect(() => massiveActivationTracker({ topK: 0 })).toThrow('topK must be an integer ≥ 1, got 0');
      expect(() => massiveActivationTracker({ average: 'median' as never })).toThrow('average must be one of ratioOfMeans, meanOfRatios, got median');
    });
  });
});

/** Patches and positions of images, against PyTorch. */
import { readFileSync } from 'node:fs';
import { matMul, memory, mul, sum, tensor, tidy, zeros, type Tensor, type Tensor3D } from '@tensorflow/tfjs-core';
import { valueAndGrad } from '@evenkeel/core-tensor';
import { imagesFromPatches, linear, patchRows, patchWeight, patchWeightToConvolution, resizePositions } from '@evenkeel/layers';
import { expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

type Stored = { shape: number[]; values: number[] };
type Resize = { from: [number, number]; to: [number, number]; method: 'bicubic' | 'bilinear'; positions: Stored; result: Stored; direction: Stored; gradient: Stored };
type Golden = { resize: Resize[]; patches: { images: Stored; weight: Stored; patchSize: number; result: Stored } };

const golden = JSON.parse(readFileSync(`${import.meta.dirname}/golden/vision.json`, 'utf8')) as Golden;
const read = ({ shape, values }: Stored): Tensor => tensor(Float32Array.from(values), shape);

forEachBackend(() => {
  describe('patchRows(images, patchSize)', () => {
    it('followed by a linear map is PyTorch\'s convolution, weight converted', async () => {
      const { images, weight, patchSize, result } = golden.patches;
      const [x, kernel] = [read(images), read(weight)];
      const y = tidy(() => linear(patchRows(x, patchSize), { weight: patchWeight(kernel) }));
      expect(y.shape).toEqual(result.shape);
      await expectClose(y, Float64Array.from(result.values), { rtol: 1e-5, atol: 1e-5 });
      const back = tidy(() => patchWeightToConvolution(patchWeight(kernel), patchSize));
      await expectClose(back, await kernel.data(), { rtol: 0, atol: 0 });
    });

    it('orders patches by row and column, and inside by y, x and channel', async () => {
      const [H, W, C, p] = [4, 6, 2, 2];
      const images = tensor(Float32Array.from({ length: H * W * C }, (_, i) => i), [1, H, W, C]);
      const values = Array.from(await patchRows(images, p).data());
      for (const [i, j, y, x, c] of [[0, 0, 0, 0, 0], [1, 2, 1, 0, 1], [0, 1, 1, 1, 0], [1, 0, 0, 1, 1]] as const) {
        expect(values[((i * (W / p) + j) * p * p + y * p + x) * C + c]).toBe(((i * p + y) * W + j * p + x) * C + c);
      }
    });

    it('is undone by imagesFromPatches, and its gradient is that', async () => {
      const images = randomTensor([2, 6, 9, 3]);
      const rows = patchRows(images, 3);
      expect(rows.shape).toEqual([2, 6, 27]);
      await expectClose(imagesFromPatches(rows, { height: 6, width: 9, patchSize: 3 }), await images.data(), { rtol: 0, atol: 0 });
      const direction = randomTensor([2, 6, 27], { seed: 2 });
      const { grads } = valueAndGrad((p: { x: Tensor }) => sum(mul(patchRows(p.x, 3), direction)), { x: images as Tensor });
      await expectClose(grads.x, await imagesFromPatches(direction as Tensor3D, { height: 6, width: 9, patchSize: 3 }).data(), { rtol: 0, atol: 0 });
    });

    it('names what does not fit', () => {
      expect(() => patchRows(zeros([1, 6, 8, 3]), 4)).toThrow('patchRows: images must have height and width divisible by patchSize, got 6 × 8 and 4');
      expect(() => patchRows(zeros([6, 8, 3]), 2)).toThrow('patchRows: images must have rank 4, got shape [6, 8, 3]');
      expect(() => patchRows(zeros([1, 6, 8, 3], 'int32'), 2)).toThrow('patchRows: images must have dtype float32, got int32');
      expect(() => imagesFromPatches(zeros([1, 5, 12]), { height: 4, width: 6, patchSize: 2 })).toThrow('imagesFromPatches: rows must have shape […, 6, …], got [1, 5, 12]');
      expect(() => patchWeightToConvolution(zeros([4, 10]), 2)).toThrow('patchWeightToConvolution: weight must have shape');
      expect(() => patchWeight(zeros([4, 10]))).toThrow('patchWeight: convolution must have rank 4');
    });
  });

  describe('resizePositions(positions)', () => {
    it.each(golden.resize.map((each) => [each.method, each.from.join('×'), each.to.join('×'), each] as const))('%s from %s to %s is PyTorch\'s, and so is its gradient', async (_, __, ___, { from, to, method, ...stored }) => {
      const [positions, direction] = [read(stored.positions), read(stored.direction)];
      const resized = resizePositions(positions, { from, to, method });
      expect(resized.shape).toEqual(stored.result.shape);
      await expectClose(resized, Float64Array.from(stored.result.values), { rtol: 1e-5, atol: 1e-5 });
      const { grads } = valueAndGrad((p: { positions: Tensor }) => sum(mul(resizePositions(p.positions, { from, to, method }), direction)), { positions });
      await expectClose(grads.positions, Float64Array.from(stored.gradient.values), { rtol: 1e-5, atol: 1e-5 });
    });

    it('leaves the positions before the patches as they are, and all where the size is the same', async () => {
      const positions = randomTensor([2 + 9, 4]);
      const resized = resizePositions(positions, { from: [3, 3], to: [5, 2], prefix: 2 });
      expect(resized.shape).toEqual([2 + 10, 4]);
      const [before, after] = [await positions.data(), await resized.data()];
      expect(Array.from(after.slice(0, 8))).toEqual(Array.from(before.slice(0, 8)));
      const same = resizePositions(positions, { from: [3, 3], to: [3, 3], prefix: 2 });
      expect(same).not.toBe(positions);
      await expectClose(same, before, { rtol: 0, atol: 0 });
    });

    it('keeps a constant constant, leaks nothing, and names what does not fit', async () => {
      const constant = tidy(() => matMul(tensor([[1], [1], [1], [1]]), tensor([[2, -3]])));
      const resized = resizePositions(constant, { from: [2, 2], to: [5, 4] });
      await expectClose(resized, Float32Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 2 : -3)), { rtol: 1e-6, atol: 1e-6 });
      await expectNoLeak(() => resizePositions(constant, { from: [2, 2], to: [5, 4] }));
      const before = memory().numTensors;
      expect(() => resizePositions(constant, { from: [2, 3], to: [5, 4] })).toThrow('resizePositions: positions must have 0 + 2 · 3 rows, got 4');
      expect(() => resizePositions(constant, { from: [2, 2], to: [0, 4] })).toThrow('resizePositions: to must be an integer ≥ 1, got 0');
      expect(() => resizePositions(constant, { from: [2, 2], to: [1, 4], method: 'area' as never })).toThrow('resizePositions: method must be one of bicubic, bilinear, got area');
      expect(memory().numTensors).toBe(before);
    });
  });
});

import { reshape, slice, tensor1d, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { backgroundRobustness, centerBias, foregroundFocus, inputTimesGradient, sizeBias, vit } from '@evenkeel/models-vit';
import { forEachBackend, logSumExp64, randomTensor } from '@evenkeel/testing';

describe('backgroundRobustness, centerBias and sizeBias', () => {
  it('backgroundRobustness is 1 where both accuracies are equal, and less where the background was of help', () => {
    expect([backgroundRobustness({ all: 0.7, same: 0.7 }), backgroundRobustness({ all: 0.4, same: 0.8 })]).toEqual([1, 0.5]);
    expect(() => backgroundRobustness({ all: 0.4, same: 0 })).toThrow('backgroundRobustness: same must be a positive number, got 0');
    expect(() => backgroundRobustness({ all: 40, same: 0.5 })).toThrow('backgroundRobustness: all must be between 0 and 1, got 40');
  });

  it('centerBias is 0 where all nine are equal, and counts the worst corner and the worst side', () => {
    expect(centerBias(new Array<number>(9).fill(0.6))).toBe(0);
    expect(centerBias([0.5, 0.7, 0.4, 0.6, 0.8, 0.7, 0.6, 0.6, 0.6])).toBeCloseTo(1 - (0.4 + 0.6) / 1.6, 12);
    expect(() => centerBias([1, 1])).toThrow('centerBias: accuracies must be 9, of a 3 × 3 grid, got 2');
    expect(() => centerBias([1, 1, 1, 1, 0, 1, 1, 1, 1])).toThrow('centerBias: the accuracy in the middle must be a positive number, got 0');
  });

  it('sizeBias divides by the accuracy at the usual size', () => {
    expect(sizeBias([{ sizeFactor: 0.5, accuracy: 0.4 }, { sizeFactor: 1, accuracy: 0.8 }])).toEqual([{ sizeFactor: 0.5, ratio: 0.5 }, { sizeFactor: 1, ratio: 1 }]);
    expect(() => sizeBias([{ sizeFactor: 0.5, accuracy: 0.4 }])).toThrow('sizeBias: accuracies must have one of sizeFactor 1, got 0.5');
  });
});

describe('foregroundFocus', () => {
  const masks = [0, 0, 0, 255, 255, 0, 0, 0]; // two images of four pixels

  it('is exactly 1 for importance spread evenly, 4 for all of it on a quarter, 0 for none', () => {
    expect(foregroundFocus(new Array<number>(8).fill(0.3), masks, { count: 2 })).toBe(1);
    expect(foregroundFocus([0, 0, 0, 2, 5, 0, 0, 0], masks, { count: 2 })).toBe(4);
    expect(foregroundFocus([1, 1, 0, 0, 0, 1, 1, 0], masks, { count: 2 })).toBe(0);
    expect(foregroundFocus([0, 0, 0, 0, 5, 0, 0, 0], masks, { count: 2 })).toBe(4); // the first does not count
  });

  it('counts pixels at the edge of a mask by how much they belong to it', () => {
    expect(foregroundFocus([1, 1, 1, 1], [51, 51, 0, 0], { count: 1 })).toBeCloseTo(1, 12);
    expect(foregroundFocus([1, 0, 0, 0], [51, 51, 0, 0], { count: 1 })).toBeCloseTo((4 / 0.4) * 0.2, 12);
  });

  it('names what does not fit', () => {
    expect(() => foregroundFocus([1, 1], masks, { count: 2 })).toThrow('foregroundFocus: importance and masks must be of one size for 2 images, got 2 and 8 values');
    expect(() => foregroundFocus([1, 1, 1, -1, 1, 1, 1, 1], masks, { count: 2 })).toThrow('foregroundFocus: importance must not be negative, got -1 in image 0');
    expect(() => foregroundFocus([1, 1], [255, 0], { count: 2 })).toThrow('foregroundFocus: masks must hold an object in each image, got none in image 1');
  });
});

forEachBackend(['cpu', 'evenkeel-wasm'], () => {
  it('inputTimesGradient is |pixel · gradient| added over channels, and 0 where the model does not look', async () => {
    const images = randomTensor([2, 8, 8, 3]) as Tensor4D;
    const targets = tensor1d([1, 0], 'int32');
    const model = vit({ imageSize: 8, patchSize: 4, numClasses: 3, depth: 1, dim: 12, numHeads: 3 });
    const params = model.init({ seed: 1 });
    const importance = inputTimesGradient((x) => model.apply(x, params), images, targets);
    expect(importance.shape).toEqual([2, 8, 8]);
    const values = Array.from(await importance.data());
    expect([values.every((each) => each >= 0), values.some((each) => each > 0)]).toEqual([true, true]);
    const topRow = (x: Tensor4D): Tensor => reshape(slice(x, [0, 0, 0, 0], [2, 1, 8, 3]), [2, 24]); // logits that are pixels
    const ofTop = Array.from(await inputTimesGradient(topRow, images, targets).data());
    const [pixels, logits] = [await images.data(), await topRow(images).data()];
    const share = Math.exp(logits[0]! - logSumExp64(logits, 24)[0]!) / 2; // of the mean over two images
    expect(ofTop.slice(8, 64).every((each) => each === 0)).toBe(true);
    const second = Math.abs(pixels[1]! * (Math.exp(logits[1]! - logSumExp64(logits, 24)[0]!) - 1)) / 2; // the target
    const third = Math.abs(pixels[2]! * Math.exp(logits[2]! - logSumExp64(logits, 24)[0]!)) / 2;
    expect(ofTop[0]).toBeCloseTo(Math.abs(pixels[0]! * share) + second + third, 5);
    expect(() => inputTimesGradient(topRow, images, tensor1d([1], 'int32'))).toThrow('inputTimesGradient: targets must have shape [2], got [1]');
  });
});

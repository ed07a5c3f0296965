import { ConfigError } from '@evenkeel/core-tensor';
import {
  augmentations, channelStatistics, cutMix, imageBatch, mixup, normaliseImages, oneOf, randAugment, randomCrop, randomErasing, randomFlip, smoothTargets,
  type Augmentation, type ImageBatch, type ImageOperationName,
} from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { picker } from './helpers.ts';

/** A batch of random bytes; image i has class i mod n. */
function batchOf(count: number, [height, width, channels]: readonly [number, number, number] = [8, 6, 3], numClasses = 4): ImageBatch {
  const pick = picker(count, 'images');
  const images = Uint8Array.from({ length: count * height * width * channels }, () => pick(256));
  return imageBatch({ shape: [count, height, width, channels], images, labels: Array.from({ length: count }, (_, i) => i % numClasses) }, numClasses);
}
const imageOf = ({ shape: [, ...inside], images }: ImageBatch, i: number): number[] => {
  const size = inside.reduce((product, each) => product * each, 1);
  return Array.from(images.subarray(i * size, (i + 1) * size));
};
const sumOf = (values: Iterable<number>): number => [...values].reduce((sum, value) => sum + value, 0);

const ALL: [string, Augmentation][] = [
  ['randomCrop', randomCrop({ padding: 2 })], ['randomFlip', randomFlip()], ['mixup', mixup()], ['cutMix', cutMix()], ['oneOf', oneOf([mixup(), cutMix()])],
  ['randomErasing', randomErasing({ probability: 0.6 })], ['randAugment', randAugment()],
  ['all of them', augmentations(randomCrop(), randomFlip(), randAugment(), normaliseImages({ mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.2] }), randomErasing(), smoothTargets(), oneOf([mixup(), cutMix()], [1, 2]))],
];

describe.each(ALL)('%s', (_name, augment) => {
  it('is a function of its seed, changes nothing in place, and keeps targets probabilities', () => {
    const batch = batchOf(12);
    const [images, targets] = [batch.images.slice(), batch.targets.slice()];
    const [first, again, other] = [augment(batch, 5), augment(batch, 5), augment(batch, 6)];
    expect(first).toEqual(again);
    expect(other).not.toEqual(first);
    expect([batch.images, batch.targets]).toEqual([images, targets]);
    expect([first.shape, first.images.length, first.numClasses]).toEqual([batch.shape, images.length, 4]);
    expect(first.images.every(Number.isFinite)).toBe(true);
    for (let i = 0; i < 12; i++) expect(sumOf(first.targets.subarray(4 * i, 4 * i + 4))).toBeCloseTo(1, 5);
  });
});

describe('imageBatch and normaliseImages', () => {
  it('imageBatch divides by 255 and sets one target per image', () => {
    const batch = imageBatch({ shape: [2, 1, 1, 3], images: Uint8Array.of(0, 51, 255, 1, 2, 3), labels: [2, 0] }, 3);
    expect(Array.from(batch.images.slice(0, 3))).toEqual([0, Math.fround(0.2), 1]);
    expect(Array.from(batch.targets)).toEqual([0, 0, 1, 1, 0, 0]);
  });

  it('imageBatch names what does not fit: values, labels, classes', () => {
    const images = new Uint8Array(6);
    expect(() => imageBatch({ shape: [2, 1, 1, 3], images: new Uint8Array(5), labels: [0, 0] }, 3)).toThrow('imageBatch: images must have 6 values for the shape [2, 1, 1, 3], got 5');
    expect(() => imageBatch({ shape: [2, 1, 1, 3], images, labels: [0] }, 3)).toThrow('imageBatch: labels must be 2, one per image, got 1');
    expect(() => imageBatch({ shape: [2, 1, 1, 3], images, labels: [0, 3] }, 3)).toThrow('imageBatch: labels must be integers from 0 to 2, got 3 for image 1');
    expect(() => imageBatch({ shape: [2, 1, 1, 3], images, labels: [0.5, 1] }, 3)).toThrow('got 0.5 for image 0');
  });

  it('normaliseImages by channelStatistics gives mean 0 and standard deviation 1 in each channel', () => {
    const batch = batchOf(9, [5, 7, 3]);
    const after = channelStatistics(normaliseImages(channelStatistics(batch))(batch, 0));
    for (let c = 0; c < 3; c++) {
      expect(after.mean[c]).toBeCloseTo(0, 5);
      expect(after.std[c]).toBeCloseTo(1, 5);
    }
    expect(() => normaliseImages({ mean: [0.5], std: [1] })(batch, 0)).toThrow('normaliseImages: images must have 1 channels, got 3');
    expect(() => normaliseImages({ mean: [0.5], std: [0] })).toThrow('normaliseImages: std must be a positive number, got 0');
  });
});

describe('randomCrop and randomFlip', () => {
  it('randomCrop moves an image by at most the padding, everywhere alike, and fills what comes in', () => {
    const [height, width] = [5, 6];
    const images = Uint8Array.from({ length: 200 * height * width }, (_, i) => 1 + (i % (height * width)));
    const batch = imageBatch({ shape: [200, height, width, 1], images, labels: new Uint8Array(200) }, 1);
    const cropped = randomCrop({ padding: 2, fill: -1 })(batch, 3);
    const seen = new Set<string>();
    for (let b = 0; b < 200; b++) {
      const image = imageOf(cropped, b).map((value) => (value === -1 ? -1 : Math.round(value * 255) - 1));
      const at = image.findIndex((value) => value >= 0);
      const [down, right] = [Math.floor((image[at] as number) / width) - Math.floor(at / width), ((image[at] as number) % width) - (at % width)];
      seen.add(`${down} ${right}`);
      image.forEach((value, i) => {
        const [y, x] = [Math.floor(i / width) + down, (i % width) + right];
        expect(value).toBe(y < 0 || y >= height || x < 0 || x >= width ? -1 : y * width + x);
      });
    }
    expect(seen.size).toBe(25);
  });

  it('randomFlip exchanges left and right of about half of the images, and of all with probability 1 twice nothing', () => {
    const batch = batchOf(400, [3, 5, 2]);
    const flipped = randomFlip()(batch, 1);
    const changed = Array.from({ length: 400 }, (_, i) => imageOf(flipped, i).some((value, k) => value !== imageOf(batch, i)[k]));
    expect(Math.abs(changed.filter(Boolean).length - 200)).toBeLessThan(40);
    const always = randomFlip({ probability: 1 });
    const once = always(batch, 1);
    const [image, mirrored] = [imageOf(batch, 0), imageOf(once, 0)];
    for (const [y, x, c] of [[0, 0, 0], [2, 1, 1], [1, 2, 0]] as const) expect(mirrored[(y * 5 + x) * 2 + c]).toBe(image[(y * 5 + 4 - x) * 2 + c]);
    expect(always(once, 2)).toEqual(batch);
  });
});

describe('mixup and cutMix', () => {
  it('mixup mixes images and targets with the same share', () => {
    const batch = batchOf(5);
    const mixed = mixup()(batch, 4);
    const share = mixed.targets[0] as number; // class 0 against class 0 of image 4: 1
    expect(share).toBe(1);
    const ofSecond = mixed.targets[4 + 1] as number; // image 1, class 1, against image 3, class 3
    expect(mixed.targets[4 + 3]).toBeCloseTo(1 - ofSecond, 6);
    const [own, other, result] = [imageOf(batch, 1), imageOf(batch, 3), imageOf(mixed, 1)];
    result.forEach((value, k) => expect(value).toBeCloseTo(ofSecond * (own[k] as number) + (1 - ofSecond) * (other[k] as number), 5));
  });

  it('cutMix pastes a rectangle of the partner; its area is the share of the partner\'s target', () => {
    const batch = batchOf(6, [20, 16, 1], 6);
    for (let seed = 0; seed < 20; seed++) {
      const mixed = cutMix()(batch, seed);
      const [own, other, result] = [imageOf(batch, 1), imageOf(batch, 4), imageOf(mixed, 1)];
      const share = mixed.targets[6 + 4] as number;
      const fromOther = result.map((value, k) => value !== own[k] || own[k] === other[k]);
      result.forEach((value, k) => expect([own[k], other[k]]).toContain(value));
      const equal = own.filter((value, k) => value === other[k]).length;
      expect(Math.abs(fromOther.filter(Boolean).length / 320 - share)).toBeLessThanOrEqual(equal / 320 + 1e-6);
    }
  });

  it('draw their share from Beta(alpha, alpha): mean ½, variance 1/(4(2 alpha + 1))', () => {
    const batch = imageBatch({ shape: [2, 1, 1, 1], images: Uint8Array.of(0, 255), labels: [0, 1] }, 2);
    for (const alpha of [0.2, 0.8, 1, 4]) {
      const shares = Array.from({ length: 3000 }, (_, seed) => mixup({ alpha })(batch, seed).targets[0] as number);
      const mean = sumOf(shares) / 3000;
      expect(Math.abs(mean - 0.5)).toBeLessThan(0.03);
      const variance = sumOf(shares.map((share) => (share - mean) ** 2)) / 3000;
      expect(Math.abs(variance * 4 * (2 * alpha + 1) - 1)).toBeLessThan(0.1);
    }
    expect(() => mixup({ alpha: 0 })).toThrow('mixup: alpha must be a positive number, got 0');
  });

  it('oneOf takes each as often as its weight says', () => {
    const batch = batchOf(2);
    const marked = (value: number): Augmentation => (given) => ({ ...given, images: Float32Array.of(value) });
    const chosen = Array.from({ length: 600 }, (_, seed) => oneOf([marked(0), marked(1)], [1, 3])(batch, seed).images[0] as number);
    expect(Math.abs(sumOf(chosen) - 450)).toBeLessThan(45);
    expect(() => oneOf([])).toThrow('oneOf: choices must be one or more');
    expect(() => oneOf([mixup()], [1, 2])).toThrow(ConfigError);
  });
});

describe('randomErasing and smoothTargets', () => {
  it('randomErasing erases one rectangle of the wanted size in the wanted share of images', () => {
    const batch = imageBatch({ shape: [500, 20, 24, 1], images: new Uint8Array(500 * 480).fill(255), labels: new Uint8Array(500) }, 1);
    const erased = randomErasing({ probability: 0.3, area: [0.1, 0.3], fill: 0 })(batch, 2);
    const sizes = Array.from({ length: 500 }, (_, b) => {
      const gone = imageOf(erased, b).flatMap((value, i) => (value === 0 ? [i] : []));
      const [rows, columns] = [new Set(gone.map((i) => Math.floor(i / 24))), new Set(gone.map((i) => i % 24))];
      expect(gone.length).toBe(rows.size * columns.size);
      return gone.length / 480;
    }).filter((size) => size > 0);
    expect(Math.abs(sizes.length / 500 - 0.3)).toBeLessThan(0.06);
    expect(Math.min(...sizes)).toBeGreaterThan(0.07);
    expect(Math.max(...sizes)).toBeLessThan(0.36);
    const noise = randomErasing({ probability: 1 })(batch, 2).images.filter((value) => value !== 1);
    expect(Math.abs(sumOf(noise) / noise.length)).toBeLessThan(0.02);
    expect(() => randomErasing({ area: [0.5, 0.1] })).toThrow('randomErasing: area must be between 0.5 and 1, got 0.1');
  });

  it('smoothTargets spreads epsilon over all classes', () => {
    expect(Array.from(smoothTargets({ epsilon: 0.2 })(batchOf(1), 0).targets, (each) => Math.fround(each))).toEqual([0.85, 0.05, 0.05, 0.05].map(Math.fround));
  });
});

describe('randAugment', () => {
  const apply = (name: ImageOperationName, values: number[], size: readonly [number, number, number], magnitude = 10): number[] => {
    const batch: ImageBatch = { shape: [1, ...size], images: Float32Array.from(values), targets: Float32Array.of(1), numClasses: 1 };
    return Array.from(randAugment({ operations: 1, magnitude, magnitudeStd: 0, from: [name] })(batch, 1).images);
  };
  const grey = Array.from({ length: 35 }, (_, i) => i / 35);

  it('has operations that do nothing at magnitude 0', () => {
    for (const name of ['rotate', 'color', 'contrast', 'brightness', 'sharpness', 'shearX', 'shearY', 'translateX', 'translateY'] as const) {
      apply(name, grey, [7, 5, 1], 0).forEach((value, i) => expect(value).toBeCloseTo(grey[i] as number, 5));
    }
  });

  it('inverts, solarizes, posterizes, stretches contrast and equalizes', () => {
    expect(apply('invert', [0, 0.25, 1], [1, 3, 1])).toEqual([1, 0.75, 0]);
    expect(apply('solarize', [0.1, 0.75, 0.5], [1, 3, 1], 5)).toEqual([0.1, 0.25, 0.5].map(Math.fround));
    expect(new Set(apply('posterize', grey, [7, 5, 1])).size).toBe(2); // one bit
    expect(new Set(apply('posterize', grey, [7, 5, 1], 0)).size).toBe(16); // four
    expect(apply('autoContrast', [0.25, 0.5, 0.75], [1, 3, 1])).toEqual([0, 0.5, 1]);
    const flat = apply('equalize', [0, 0.01, 0.02, 0.03, 1], [1, 5, 1]);
    flat.forEach((value, i) => expect(value).toBeCloseTo(i / 4, 5));
  });

  it('moves, turns and shears about the middle, and keeps the range', () => {
    const moved = apply('translateX', Array.from({ length: 20 }, (_, i) => i / 20), [1, 20, 1]); // 9 pixels
    expect([moved.slice(0, 9).every((value) => value === 0.5) || moved.slice(11).every((value) => value === 0.5)]).toEqual([true]);
    const middle = apply('rotate', grey, [7, 5, 1])[17];
    expect(middle).toBeCloseTo(grey[17] as number, 5);
    expect(apply('shearX', grey, [7, 5, 1])[17]).toBeCloseTo(grey[17] as number, 5);
    for (const name of ['brightness', 'contrast', 'color', 'sharpness', 'rotate', 'shearY'] as const) {
      const result = apply(name, grey, [7, 5, 1]);
      expect([Math.min(...result) >= 0, Math.max(...result) <= 1]).toEqual([true, true]);
      if (name !== 'color') expect(result).not.toEqual(grey);
    }
    const red = apply('color', [1, 0, 0], [1, 1, 3]);
    const luminance = 0.299;
    expect(Math.abs(red[1]! - Math.max(0, luminance + (1 - 0.9) * -luminance)) < 1e-5 || red[1] === 0).toBe(true);
  });

  it('refuses unknown operations and magnitudes out of range', () => {
    expect(() => randAugment({ magnitude: 11 })).toThrow('randAugment: magnitude must be between 0 and 10, got 11');
    expect(() => randAugment({ from: ['paint' as never] })).toThrow('randAugment: from must be one of');
    expect(() => randAugment({ from: [] })).toThrow('randAugment: from must name an operation or more, got none');
  });
});

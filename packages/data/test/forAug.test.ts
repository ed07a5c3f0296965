import { bestVersion, filterScore, forAug, imageBatch, originalProbability, recombine, segment, type Background, type Foreground, type RecombineOptions } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { picker } from './helpers.ts';

const grey = (height: number, width: number, value: number, ratio = 0.2, label = 0): Background => ({ shape: [height, width, 3], pixels: new Uint8Array(height * width * 3).fill(value), label, ratio });
const solid = (height: number, width: number, value: number, ratio = 0.1, label = 0): Foreground =>
  ({ shape: [height, width, 4], pixels: Uint8Array.from({ length: height * width * 4 }, (_, i) => (i % 4 === 3 ? 255 : value)), label, ratio });
/** A disc, of which about π/4 is opaque. */
const disc = (size: number, ratio: number): Foreground => ({
  shape: [size, size, 4], label: 3, ratio,
  pixels: Uint8Array.from({ length: size * size * 4 }, (_, i) => {
    const [y, x] = [Math.floor(i / 4 / size) - (size - 1) / 2, (Math.floor(i / 4) % size) - (size - 1) / 2];
    return i % 4 === 3 ? (Math.hypot(x, y) <= size / 2 ? 255 : 0) : 250;
  }),
});
const plain: RecombineOptions = { edgeSigma: 0 };
const areaOf = (mask: Uint8Array): number => mask.reduce((sum, value) => sum + value, 0) / 255;
const seeds = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('recombine', () => {
  it('gives the object the area that was aimed at, within rounding, however full its crop is', () => {
    const background = grey(64, 80, 10);
    for (const foreground of [solid(20, 30, 200), disc(24, 0.12), disc(11, 0.3)]) {
      for (const seed of seeds(20)) {
        const { mask, area, box } = recombine(foreground, background, plain, seed);
        expect(Math.abs(areaOf(mask) / (64 * 80) - area)).toBeLessThanOrEqual((box.width + box.height) / (64 * 80));
      }
    }
  });

  it('draws the area between the smaller and the larger, with jitter; min, max and mean without jitter are exact', () => {
    const [foreground, background] = [solid(10, 10, 200, 0.1), grey(50, 50, 0, 0.3)];
    const areas = seeds(400).map((seed) => recombine(foreground, background, plain, seed).area);
    expect(Math.min(...areas)).toBeGreaterThanOrEqual(0.07);
    expect(Math.max(...areas)).toBeLessThanOrEqual(0.39);
    expect(Math.max(...areas) - Math.min(...areas)).toBeGreaterThan(0.3);
    for (const [size, expected] of [['min', 0.1], ['max', 0.3], ['mean', 0.2]] as const) {
      for (const seed of seeds(5)) expect(recombine(foreground, background, { ...plain, size, jitter: 0 }, seed).area).toBeCloseTo(expected, 12);
      expect(recombine(foreground, background, { ...plain, size, jitter: 0, sizeFactor: 1.5 }, 1).area).toBeCloseTo(1.5 * expected, 12);
    }
  });

  it('keeps the aspect of the object', () => {
    const { box } = recombine(solid(10, 30, 200, 0.15), grey(90, 90, 0, 0.15), { ...plain, jitter: 0 }, 1);
    expect(Math.abs(box.width / box.height - 3)).toBeLessThan(0.2);
  });

  it('places it in the middle with bates 0, anywhere with 1, near the middle with 5, near borders with −5', () => {
    const [foreground, background] = [solid(10, 10, 200, 0.04), grey(30, 30, 0, 0.04)];
    const offsets = (bates: number) => seeds(400).map((seed) => recombine(foreground, background, { ...plain, jitter: 0, bates }, seed).box);
    for (const { left, top, width, height } of offsets(0)) {
      expect(Math.abs(2 * left + width - 30)).toBeLessThanOrEqual(1);
      expect(Math.abs(2 * top + height - 30)).toBeLessThanOrEqual(1);
    }
    const uniform = offsets(1);
    const mean = uniform.reduce((sum, { left }) => sum + left, 0) / 400;
    expect(Math.abs(mean - 12)).toBeLessThan(1.5);
    for (const side of ['left', 'top'] as const) expect([Math.min(...uniform.map((box) => box[side])), Math.max(...uniform.map((box) => box[side]))]).toEqual([0, 24]);
    const spread = (boxes: readonly { left: number }[]): number => boxes.reduce((sum, { left }) => sum + Math.abs(left - 12), 0) / boxes.length;
    expect(spread(offsets(5))).toBeLessThan(0.7 * spread(uniform));
    expect(spread(offsets(-5))).toBeGreaterThan(1.3 * spread(uniform));
  });

  it('lets it stand over the border only by jutOut', () => {
    const [foreground, background] = [solid(10, 10, 200, 0.1), grey(60, 60, 0, 0.1)];
    const lefts = seeds(300).map((seed) => recombine(foreground, background, { ...plain, jitter: 0, jutOut: 0.5 }, seed)).map(({ box, mask }) => ({ ...box, area: areaOf(mask) }));
    expect(Math.min(...lefts.map(({ left }) => left))).toBeLessThan(0);
    expect(lefts.every(({ left, width }) => left >= -0.5 * width - 1 && left <= 60 - 0.5 * width + 1)).toBe(true);
    expect(Math.min(...lefts.map(({ area }) => area))).toBeLessThan(0.06 * 3600);
  });

  it('in a nonant is a ninth as large and inside that cell; 4 is the middle', () => {
    const [foreground, background] = [solid(10, 12, 200, 0.3), grey(63, 63, 0, 0.3)];
    for (let nonant = 0; nonant < 9; nonant++) {
      for (const seed of seeds(20)) {
        const { left, top, width, height } = recombine(foreground, background, { ...plain, nonant }, seed).box;
        const [cellX, cellY] = [21 * (nonant % 3), 21 * Math.floor(nonant / 3)];
        expect([left >= cellX, left + width <= cellX + 21, top >= cellY, top + height <= cellY + 21]).toEqual([true, true, true, true]);
        expect(Math.abs(width * height - (recombine(foreground, background, { ...plain, nonant }, seed).area * 63 * 63) / 9)).toBeLessThan(width + height);
      }
    }
  });

  it('edgeSigma 0 leaves opacity as it is; otherwise nothing is painted where the blurred one is at most 128', () => {
    const [foreground, background] = [disc(20, 0.2), grey(40, 40, 0, 0.2)];
    const sharp = recombine(foreground, background, { ...plain, bates: 0, jitter: 0 }, 1);
    const soft = recombine(foreground, background, { edgeSigma: 3, bates: 0, jitter: 0 }, 1);
    expect(areaOf(soft.mask)).toBeLessThan(areaOf(sharp.mask));
    // The edge of a half plane has a blurred opacity of one half: what was transparent there stays unpainted.
    sharp.mask.forEach((value, i) => { if (value === 0) expect(soft.mask[i]).toBe(0); });
    soft.mask.forEach((value, i) => { if (value === 0) expect(soft.pixels[3 * i]).toBe(0); });
    const square = recombine(solid(10, 10, 200, 0.2), background, { ...plain, jitter: 0 }, 1);
    expect(new Set(square.mask)).toEqual(new Set([0, 255]));
  });

  it('pastes by opacity: the object where it is opaque, the background elsewhere', () => {
    const { pixels, mask, label } = recombine(solid(8, 8, 200, 0.1, 7), grey(32, 32, 40, 0.1), plain, 3);
    expect(label).toBe(7);
    mask.forEach((value, i) => expect(pixels[3 * i + 1]).toBe(value === 255 ? 200 : 40));
  });

  it('cuts an object that is larger than the image', () => {
    for (const centerCrop of [true, false]) {
      const { box, mask } = recombine(solid(4, 40, 200, 0.5), grey(20, 20, 0, 0.5), { ...plain, centerCrop }, 2);
      expect(box).toMatchObject({ left: 0, width: 20 });
      expect(areaOf(mask)).toBe(20 * box.height);
    }
  });

  it('is a function of the seed, changes no input, and names what is wrong', () => {
    const [foreground, background] = [disc(12, 0.2), grey(30, 30, 9)];
    const before = [foreground.pixels.slice(), background.pixels.slice()];
    expect(recombine(foreground, background, {}, 4)).toEqual(recombine(foreground, background, {}, 4));
    expect(recombine(foreground, background, {}, 5)).not.toEqual(recombine(foreground, background, {}, 4));
    expect([foreground.pixels, background.pixels]).toEqual(before);
    expect(() => recombine(foreground, background, { nonant: 9 }, 1)).toThrow('recombine: nonant must be between 0 and 8, got 9');
    expect(() => recombine(foreground, background, { size: 'middle' as never }, 1)).toThrow('recombine: size must be one of range, min, max, mean, got middle');
    expect(() => recombine({ ...foreground, pixels: new Uint8Array(12 * 12 * 4) }, background, {}, 1)).toThrow('recombine: foreground must have an opaque pixel, got none');
  });
});

describe('segment', () => {
  const pick = picker(1, 'segment');
  const image = { shape: [6, 7, 3] as const, pixels: Uint8Array.from({ length: 126 }, () => pick(256)) };
  const mask = Uint8Array.from({ length: 42 }, (_, i) => (i % 7 >= 2 && i % 7 < 5 && i >= 7 && i < 28 ? 255 : 0));

  it('cuts out the smallest crop that holds the mask, with its share of the area', () => {
    const { foreground, background } = segment(image, mask, 5);
    expect([foreground.shape, foreground.label, foreground.ratio, background.ratio]).toEqual([[3, 3, 4], 5, 9 / 42, 9 / 42]);
    expect(Array.from(foreground.pixels.slice(0, 4))).toEqual([...image.pixels.slice((7 + 2) * 3, (7 + 2) * 3 + 3), 255]);
    background.pixels.forEach((value, i) => { if (mask[Math.floor(i / 3)] === 0) expect(value).toBe(image.pixels[i]); });
  });

  it('fills what is behind the object from its surroundings: one colour stays one colour', () => {
    const even = { shape: [6, 7, 3] as const, pixels: Uint8Array.from({ length: 126 }, (_, i) => (mask[Math.floor(i / 3)] === 0 ? 77 : 250)) };
    expect(new Set(segment(even, mask, 0).background.pixels)).toEqual(new Set([77]));
  });

  it('refuses masks of another size, of nothing and of everything', () => {
    expect(() => segment(image, new Uint8Array(41), 0)).toThrow('segment: mask must have 6 · 7 values, got 41');
    expect(() => segment(image, new Uint8Array(42), 0)).toThrow('segment: mask must hold an object, got only zeros');
    expect(() => segment(image, new Uint8Array(42).fill(1), 0)).toThrow('segment: mask must leave some background, got none');
  });
});

describe('filterScore and bestVersion', () => {
  it('score the formula and prefer a recognised object, an unrecognised background, a tenth of the area, early versions', () => {
    const good = { foregroundProbability: 0.8, backgroundProbability: 0.1, ratio: 0.1 };
    expect(filterScore(good, { version: 1, versions: 4 })).toBeCloseTo(Math.log(0.8) + Math.log(0.9) + 0.1 * Math.log(0.75), 12);
    const versions = [{ ...good, foregroundProbability: 0.5 }, { ...good, backgroundProbability: 0.6 }, good, good, { ...good, ratio: 0.6 }];
    expect(bestVersion(versions)).toBe(2);
    expect(() => bestVersion([])).toThrow('bestVersion: versions must be one or more, got none');
  });
});

describe('forAug', () => {
  const foregrounds = [solid(4, 4, 200, 0.1, 0), solid(4, 4, 210, 0.1, 1)];
  const backgrounds = [grey(16, 16, 10, 0.1, 0), grey(16, 16, 20, 0.1, 1), grey(16, 16, 30, 0.9, 1), grey(16, 16, 40, 0.2, 0)];
  const behind = (index: number, options: Partial<Parameters<typeof forAug>[0]>): Set<number> => {
    const set = forAug({ foregrounds, backgrounds, ...plain, ...options });
    return new Set(seeds(40).flatMap((seed) => { const each = set.sample(index, { epoch: 0, seed }); return [...each.pixels].filter((value) => value < 200); }));
  };

  it('pastes on all backgrounds, those of the same class, or its own; not on those of large objects', () => {
    expect(behind(0, {})).toEqual(new Set([10, 20, 40]));
    expect(behind(0, { background: 'same' })).toEqual(new Set([10, 40]));
    expect(behind(1, { background: 'original' })).toEqual(new Set([20]));
    expect(behind(1, { background: 'same', pruning: 1 })).toEqual(new Set([20, 30]));
  });

  it('mixes originals in by its schedule: cosine from 0 over 1 − cos(π/4) to 1, never falling', () => {
    const cosine = (epoch: number) => originalProbability({ mixing: 'cosine', epochs: 10 }, epoch);
    expect([cosine(0), cosine(5), cosine(10)]).toEqual([0, 1 - Math.cos(Math.PI / 4), 1 - Math.cos(Math.PI / 2)]);
    for (let epoch = 1; epoch <= 10; epoch++) expect(cosine(epoch)).toBeGreaterThanOrEqual(cosine(epoch - 1));
    expect([originalProbability({ mixing: 'linear', epochs: 4 }, 1), originalProbability({ mixing: 'constant', probability: 0.3 }, 9)]).toEqual([0.25, 0.3]);
    const originals = [grey(16, 16, 99), grey(16, 16, 98)];
    const set = forAug({ foregrounds, backgrounds, originals, mixing: 'linear', epochs: 4, ...plain });
    const share = (epoch: number) => seeds(300).filter((seed) => set.sample(0, { epoch, seed }).pixels[0] === 99).length / 300;
    expect(share(0)).toBe(0);
    expect(Math.abs(share(2) - 0.5)).toBeLessThan(0.1);
    expect(share(4)).toBe(1);
  });

  it('batch gives labelled images for imageBatch, another draw in each epoch', () => {
    const set = forAug({ foregrounds, backgrounds });
    const batch = set.batch([1, 0, 1], { epoch: 0, seed: 1 });
    expect(imageBatch(batch, 2).shape).toEqual([3, 16, 16, 3]);
    expect(Array.from(batch.labels)).toEqual([1, 0, 1]);
    expect(set.batch([1, 0, 1], { epoch: 0, seed: 1 })).toEqual(batch);
    expect(set.batch([1, 0, 1], { epoch: 1, seed: 1 })).not.toEqual(batch);
    expect(set.count).toBe(2);
  });

  it('names what is missing', () => {
    expect(() => forAug({ foregrounds, backgrounds: [backgrounds[0]!], background: 'same' })).toThrow('forAug: backgrounds must have one for each foreground (same, ratio below 0.8), got none for foreground 1 of class 1');
    expect(() => forAug({ foregrounds, backgrounds: [grey(4, 4, 1), grey(4, 5, 1)] })).toThrow('forAug: backgrounds and originals must be of one size, got 4 × 4 × 3 and 4 × 5 × 3');
    expect(() => forAug({ foregrounds, backgrounds, originals: [] })).toThrow('forAug: originals must be 2, one per foreground, got 0');
  });
});

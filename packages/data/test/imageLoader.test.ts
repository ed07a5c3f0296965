import { join } from 'node:path';
import { ConfigError } from '@evenkeel/core-tensor';
import {
  decodeImage, imageFolder, imageLoader, imagesFromIdx, imageSource, longTailedCounts, longTailedIndices, randomCrop, readIdx, repeatedSampler, selectImages, type ImageSource,
} from '@evenkeel/data';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { directoryWith, rejection } from './helpers.ts';

/** n images of one pixel: image i has the value i and the class i mod 3. */
const source = (count: number): ImageSource => imageSource({ shape: [count, 1, 1, 1], images: Uint8Array.from({ length: count }, (_, i) => i), labels: Array.from({ length: count }, (_, i) => i % 3) });
const picture = (width: number, height: number, background: { r: number; g: number; b: number }, format: 'png' | 'jpeg' = 'png'): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background } }).toFormat(format).toBuffer();

describe('imageLoader(source)', () => {
  it('sees each image once per epoch, in another order in the next, with its label', async () => {
    const loader = imageLoader(source(12), { batchSize: 4, seed: 1 });
    expect([loader.length, loader.numClasses]).toEqual([3, 3]);
    const epochs: number[][] = [[], []];
    for (let step = 0; step < 6; step++) {
      const batch = await loader.batch(step);
      const values = Array.from(batch.images, (value) => Math.round(value * 255));
      epochs[Math.floor(step / 3)]!.push(...values);
      values.forEach((value, i) => expect(batch.targets[i * 3 + (value % 3)]).toBe(1));
    }
    for (const epoch of epochs) expect([...epoch].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i));
    expect(epochs[0]).not.toEqual(epochs[1]);
  });

  it('gives the same batch for a step whatever was asked for before, augmented by the step\'s own seed', async () => {
    const given = imageSource({ shape: [6, 5, 5, 1], images: Uint8Array.from({ length: 150 }, (_, i) => i), labels: new Uint8Array(6) });
    const make = () => imageLoader(given, { batchSize: 2, seed: 3, augment: randomCrop({ padding: 2 }) });
    const inOrder = make();
    const batches = [];
    for (let step = 0; step < 7; step++) batches.push(await inOrder.batch(step));
    const jumping = make();
    for (const step of [6, 2, 3, 0, 5]) expect(await jumping.batch(step)).toEqual(batches[step]);
    expect(batches[0]).not.toEqual(batches[3]);
  });

  it('has the next batches ready after the first, if the step takes longer than they do', async () => {
    const reads: number[] = [];
    const slow: ImageSource = { ...source(40), read: async (indices) => { reads.push(indices.length); await new Promise((resolve) => { setTimeout(resolve, 5); }); return new Uint8Array(indices.length); } };
    const loader = imageLoader(slow, { batchSize: 4, seed: 1, prefetch: 2 });
    for (let step = 0; step < 6; step++) {
      await loader.batch(step);
      await new Promise((resolve) => { setTimeout(resolve, 40); }); // the step
    }
    expect(loader.counts).toEqual({ ready: 5, waited: 1 });
    expect(reads.length).toBe(8);
  });

  it('hands an error of the source to whoever asks for that batch, and not before', async () => {
    const broken: ImageSource = { ...source(12), read: (indices) => { if (Array.from(indices).includes(7)) throw new ConfigError('image 7 is broken'); return new Uint8Array(indices.length); } };
    const loader = imageLoader(broken, { batchSize: 4, seed: 1, shuffle: false });
    await loader.batch(0);
    await expect(loader.batch(1)).rejects.toThrow('image 7 is broken');
    expect((await loader.batch(2)).shape[0]).toBe(4);
  });

  it('without shuffle reads in order, the last batch shorter', async () => {
    const loader = imageLoader(source(10), { batchSize: 4, seed: 1, shuffle: false });
    expect(loader.length).toBe(3);
    expect([...loader.indices(2)]).toEqual([8, 9]);
    expect((await loader.batch(2)).shape).toEqual([2, 1, 1, 1]);
  });

  it('names labels that are no class and sizes that do not fit', async () => {
    await expect(imageLoader(source(12), { batchSize: 4, seed: 1, numClasses: 2 }).batch(0)).rejects.toThrow('imageBatch: labels must be integers from 0 to 1, got 2 for image');
    expect(() => imageLoader(source(3), { batchSize: 4, seed: 1 })).toThrow('imageLoader: images must be at least the 4 of a batch, got 3');
    expect(() => imageLoader(source(9), { batchSize: 4, seed: 1, repeats: 3 })).toThrow('repeatedSampler: batchSize must be divisible by repeats, got 4 and 3');
    expect(() => imageLoader(source(9), { batchSize: 3, seed: 1, repeats: 3, shuffle: false })).toThrow('imageLoader: repeats must be 1 without shuffle, got 3');
  });
});

describe('repeatedSampler', () => {
  it('has each image of a batch in it as often as it says, and every image in one batch of an epoch', () => {
    const sampler = repeatedSampler({ count: 12, batchSize: 6, repeats: 3, seed: 1 });
    expect(sampler.length).toBe(6);
    const seen: number[] = [];
    for (let step = 0; step < 6; step++) {
      const counts = new Map<number, number>();
      for (const index of sampler.indices(step)) counts.set(index, (counts.get(index) ?? 0) + 1);
      expect([...counts.values()]).toEqual([3, 3]);
      seen.push(...counts.keys());
    }
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i));
  });
});

describe('decodeImage(bytes) of a photograph', () => {
  it('turns it upright, as its EXIF data say', async () => {
    const lying = await sharp(await picture(4, 2, { r: 200, g: 10, b: 10 }, 'jpeg')).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    expect(await decodeImage(lying)).toMatchObject({ height: 4, width: 2 });
    const half = Buffer.alloc(8 * 8 * 3, 255).fill(0, 0, 8 * 4 * 3); // dark above
    const turned = await sharp(half, { raw: { width: 8, height: 8, channels: 3 } }).withMetadata({ orientation: 6 }).jpeg({ quality: 100 }).toBuffer();
    const { pixels } = await decodeImage(turned, { height: 2, width: 2 });
    expect([pixels[0]! > 128, pixels[3]! < 128]).toEqual([true, true]); // a quarter turn to the right
  });
});

describe('imageFolder(folder)', () => {
  it('reads PNG and JPEG by subfolder, in the order of names', async () => {
    const folder = directoryWith({
      'b/2.png': await picture(4, 3, { r: 10, g: 20, b: 30 }), 'b/1.PNG': await picture(4, 3, { r: 200, g: 0, b: 0 }), 'a/x.jpg': await picture(4, 3, { r: 90, g: 90, b: 90 }, 'jpeg'),
      'a/notes.txt': 'no image', '.hidden/y.png': 'no image', 'empty/readme.md': '',
    });
    const found = await imageFolder(folder);
    expect([found.shape, found.classes, Array.from(found.labels)]).toEqual([[3, 4, 3], ['a', 'b'], [0, 1, 1]]);
    expect(found.files).toEqual(['a/x.jpg', 'b/1.PNG', 'b/2.png'].map((name) => join(folder, name)));
    const bytes = await found.read([2, 0]);
    expect(Array.from(bytes.slice(0, 3))).toEqual([10, 20, 30]);
    for (const value of bytes.slice(36)) expect(Math.abs(value - 90)).toBeLessThan(3);
  });

  it('names the file that has another size or cannot be decoded, and the folder without images', async () => {
    const folder = directoryWith({ 'a/1.png': await picture(4, 3, { r: 1, g: 2, b: 3 }), 'a/2.png': await picture(5, 3, { r: 1, g: 2, b: 3 }), 'a/3.png': 'no image' });
    const found = await imageFolder(folder);
    await expect(found.read([1])).rejects.toThrow(`imageFolder: ${join(folder, 'a/2.png')} must have 3 × 4 pixels like ${join(folder, 'a/1.png')}, got 3 × 5. Give height and width to scale all.`);
    expect((await rejection(Promise.resolve(found.read([2])))).message).toContain(`decodeImage: ${join(folder, 'a/3.png')} must be an image that can be decoded, such as PNG or JPEG, got `);
    const scaled = await imageFolder(folder, { height: 2, width: 2 });
    expect((await scaled.read([0, 1])).length).toBe(2 * 2 * 2 * 3);
    await expect(imageFolder(directoryWith({ 'a/notes.txt': '' }))).rejects.toThrow('must have subfolders with images (.png, .jpg, .jpeg, .webp), one per class, got none');
    await expect(imageFolder('/nowhere/at/all')).rejects.toThrow('imageFolder: /nowhere/at/all must be a readable folder, got no such file or directory (ENOENT)');
  });

  it('decodeImage makes three channels of grey and of transparent images', async () => {
    const grey = await sharp({ create: { width: 2, height: 1, channels: 3, background: '#646464' } }).greyscale().png().toBuffer();
    expect(Array.from((await decodeImage(grey)).pixels)).toEqual([100, 100, 100, 100, 100, 100]);
    const seeThrough = await sharp({ create: { width: 1, height: 1, channels: 4, background: { r: 5, g: 6, b: 7, alpha: 0.5 } } }).png().toBuffer();
    expect(Array.from((await decodeImage(new Blob([seeThrough as unknown as Uint8Array<ArrayBuffer>]))).pixels)).toEqual([5, 6, 7]);
    await expect(decodeImage(grey, { height: 2 })).rejects.toThrow('decodeImage: height and width must be given together, got 2 and undefined');
  });
});

describe('sources', () => {
  it('imagesFromIdx joins images and labels, and refuses what does not belong together', async () => {
    const idx = (shape: number[], values: number[]) => readIdx(Uint8Array.from([0, 0, 8, shape.length, ...shape.flatMap((size) => [0, 0, 0, size]), ...values]));
    const [images, labels] = [await idx([2, 1, 2], [1, 2, 3, 4]), await idx([2], [7, 3])];
    expect(imagesFromIdx(images, labels)).toMatchObject({ shape: [2, 1, 2, 1], images: Uint8Array.of(1, 2, 3, 4), labels: Uint8Array.of(7, 3) });
    expect(() => imagesFromIdx(labels, labels)).toThrow('imagesFromIdx: images must be bytes of 3 or 4 axes, got Uint8Array of shape [2]');
    expect(() => imagesFromIdx(images, images)).toThrow('imagesFromIdx: labels must be bytes of one axis, got Uint8Array of shape [2, 1, 2]');
    expect(() => imagesFromIdx(images, { shape: [1], values: Uint8Array.of(1) })).toThrow('imagesFromIdx: labels must be 2, one per image, got 1');
  });

  it('selectImages reads those images only', async () => {
    const some = selectImages(source(10), [9, 4, 4]);
    expect([Array.from(some.labels), Array.from(await some.read([2, 0]))]).toEqual([[0, 1, 1], [4, 9]]);
  });
});

describe('longTailedCounts and longTailedIndices', () => {
  it.each([
    [5000, 10, 0.01, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]], [500, 10, 0.01, [500, 299, 179, 107, 64, 38, 23, 13, 8, 5]],
  ])('counts of %i images, %i classes and ratio %f are the known ones', (largest, numClasses, ratio, expected) => {
    expect(longTailedCounts({ largest, numClasses, ratio })).toEqual(expected);
  });

  it('counts add up to the known sums: CIFAR-10 and CIFAR-100', () => {
    const sum = (options: Parameters<typeof longTailedCounts>[0]) => longTailedCounts(options).reduce((total, each) => total + each, 0);
    expect([sum({ largest: 5000, numClasses: 10, ratio: 0.01 }), sum({ largest: 5000, numClasses: 10, ratio: 0.02 }), sum({ largest: 500, numClasses: 100, ratio: 0.01 })]).toEqual([12406, 13996, 10847]);
    expect(longTailedCounts({ largest: 7, numClasses: 3, ratio: 1 })).toEqual([7, 7, 7]);
  });

  it('indices are as many of each class as wanted, by the seed, in the order of the data set', () => {
    const labels = Array.from({ length: 300 }, (_, i) => (i * 7) % 3);
    const chosen = longTailedIndices(labels, [100, 30, 4], { seed: 1 });
    expect([0, 1, 2].map((label) => Array.from(chosen).filter((i) => labels[i] === label).length)).toEqual([100, 30, 4]);
    expect([...chosen]).toEqual([...new Set(chosen)].sort((a, b) => a - b));
    expect(longTailedIndices(labels, [100, 30, 4], { seed: 1 })).toEqual(chosen);
    expect(longTailedIndices(labels, [100, 30, 4], { seed: 2 })).not.toEqual(chosen);
    expect(() => longTailedIndices(labels, [101], { seed: 1 })).toThrow('longTailedIndices: labels must have 101 images of class 0, got 100');
  });
});

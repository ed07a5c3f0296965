import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { imageSource, openImages, resizeImages, sourceStatistics } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { directoryWith } from './helpers.ts';

const cifar = (labels: readonly number[]): Uint8Array => Uint8Array.from(labels.flatMap((label) => [label, ...new Array<number>(3072).fill(10 * label)]));
const idx = (type: number, shape: readonly number[], values: readonly number[]): Uint8Array => Uint8Array.from([0, 0, type, shape.length, ...shape.flatMap((size) => [0, 0, 0, size]), ...values]);
const colour = (value: number, size: number): Promise<Buffer> => sharp({ create: { width: size, height: size, channels: 3, background: { r: value, g: 0, b: 0 } } }).png().toBuffer();

describe('openImages(path)', () => {
  it("opens CIFAR-10's binary version, a file or a folder of batches, and numbers images within their file", async () => {
    const folder = directoryWith({ 'data_batch_1.bin': cifar([1, 2]), 'data_batch_2.bin.gz': gzipSync(cifar([3])), 'test_batch.bin': cifar([4]) });
    const all = await openImages(folder);
    expect([...Array.from(all.labels)]).toEqual([1, 2, 3]);
    expect(all).toMatchObject({ kind: 'cifar', shape: [32, 32, 3] });
    expect(all.nameOf(2)).toBe(`image 0 of ${join(folder, 'data_batch_2.bin.gz')}`);
    const one = await openImages(join(folder, 'test_batch.bin'));
    expect([one.labels[0], one.nameOf(0)]).toEqual([4, `image 0 of ${join(folder, 'test_batch.bin')}`]);
    expect(one.fingerprint).not.toBe(all.fingerprint);
  });

  it('opens an IDX file with the labels beside it, packed or not', async () => {
    const folder = directoryWith({ 'train-images-idx3-ubyte': idx(8, [2, 1, 2], [1, 2, 3, 4]), 'train-labels-idx1-ubyte.gz': gzipSync(idx(8, [2], [7, 0])), 'lone-images-idx3-ubyte': idx(8, [1, 1, 1], [1]) });
    const images = await openImages(join(folder, 'train-images-idx3-ubyte'));
    expect([Array.from(images.labels), images.shape, [...await images.read([1])]]).toEqual([[7, 0], [1, 2, 1], [3, 4]]);
    await expect(openImages(join(folder, 'lone-images-idx3-ubyte'))).rejects.toThrow(/lone-images-idx3-ubyte must have a file of labels beside it, such as .*lone-labels-idx1-ubyte, got none/);
  });

  it('opens a folder of images per class, scaled if a size is given', async () => {
    const folder = directoryWith({});
    for (const [name, value, size] of [['a', 200, 4], ['b', 100, 8]] as const) {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, '1.png'), await colour(value, size));
    }
    const images = await openImages(folder, { height: 2, width: 2 });
    expect(images).toMatchObject({ kind: 'folder', shape: [2, 2, 3], classes: ['a', 'b'] });
    expect([...await images.read([1])].filter((_, i) => i % 3 === 0)).toEqual([100, 100, 100, 100]);
    await expect((await openImages(folder)).read([1])).rejects.toThrow(/b\/1\.png must have 4 × 4 pixels like .*a\/1\.png, got 8 × 8/);
  });

  it('names what is none of these', async () => {
    const folder = directoryWith({ 'notes.txt': Uint8Array.of(65) });
    await expect(openImages(join(folder, 'notes.txt'))).rejects.toThrow(/openImages: .*notes\.txt must be a folder with a subfolder of images per class/);
    await expect(openImages(join(folder, 'none'))).rejects.toThrow(/openImages: .*none must be a folder or a file of images, got no such file/);
  });
});

describe('resizeImages(source, size)', () => {
  const source = (values: readonly number[], height: number, width: number) => imageSource({ shape: [1, height, width, 1], images: Uint8Array.from(values), labels: [0] });

  it('keeps what is even, and the mean of what becomes smaller', async () => {
    expect([...await resizeImages(source(new Array<number>(12).fill(77), 3, 4), { height: 5, width: 2 }).read([0])]).toEqual(new Array(10).fill(77));
    const halved = await resizeImages(source([0, 0, 200, 200], 1, 4), { height: 1, width: 2 }).read([0]);
    expect((halved[0] as number) + (halved[1] as number)).toBe(200);
  });

  it('interpolates between the centres of pixels', async () => {
    expect([...await resizeImages(source([0, 100], 1, 2), { height: 1, width: 4 }).read([0])]).toEqual([0, 25, 75, 100]);
  });

  it('is the source itself where the size is the same', () => {
    const same = source([1, 2], 1, 2);
    expect(resizeImages(same, { height: 1, width: 2 })).toBe(same);
  });
});

describe('sourceStatistics(source)', () => {
  it('is the mean and deviation of each channel; 1 where nothing differs', async () => {
    const source = imageSource({ shape: [2, 1, 1, 2], images: Uint8Array.of(0, 51, 255, 51), labels: [0, 1] });
    const { mean, std } = await sourceStatistics(source);
    expect([mean[0], std[0]]).toEqual([0.5, 0.5]);
    expect(mean[1]).toBeCloseTo(0.2, 12);
    expect([0, 1]).not.toContain(mean[1]);
    expect(std[1]).toBeLessThanOrEqual(1);
  });
});

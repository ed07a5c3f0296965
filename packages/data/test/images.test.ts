import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ConfigError } from '@evenkeel/core-tensor';
import { CIFAR10_CLASSES, readCifar10, readIdx } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { directoryWith, picker } from './helpers.ts';

/** An IDX file: its head, and values as the type of its view writes them. */
function idx(type: number, shape: readonly number[], width: number, values: readonly number[], write: (view: DataView, at: number, value: number) => void): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * shape.length + width * values.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0, 0, type, shape.length]);
  shape.forEach((size, axis) => view.setUint32(4 + 4 * axis, size));
  values.forEach((value, i) => write(view, 4 + 4 * shape.length + width * i, value));
  return bytes;
}

const small = idx(0x08, [2, 3], 1, [1, 2, 3, 253, 254, 255], (view, at, value) => view.setUint8(at, value));

describe('readIdx(source)', () => {
  it.each([
    [0x08, 1, [0, 1, 255], Uint8Array, (view: DataView, at: number, value: number) => view.setUint8(at, value)],
    [0x09, 1, [0, -1, -128], Int8Array, (view: DataView, at: number, value: number) => view.setInt8(at, value)],
    [0x0b, 2, [1, -2, 32767], Int16Array, (view: DataView, at: number, value: number) => view.setInt16(at, value)],
    [0x0c, 4, [1, -2, 2 ** 31 - 1], Int32Array, (view: DataView, at: number, value: number) => view.setInt32(at, value)],
    [0x0d, 4, [0.5, -2.25, 1e30], Float32Array, (view: DataView, at: number, value: number) => view.setFloat32(at, value)],
    [0x0e, 8, [0.1, -1 / 3, 1e300], Float64Array, (view: DataView, at: number, value: number) => view.setFloat64(at, value)],
  ] as const)('reads values of type %i', async (type, width, values, make, write) => {
    const { shape, values: read } = await readIdx(idx(type, [1, 3], width, values, write));
    expect([shape, read]).toEqual([[1, 3], make.from(values)]);
  });

  it('reads bytes or a file, packed or not, and bytes that lie within others', async () => {
    const expected = { shape: [2, 3], values: Uint8Array.of(1, 2, 3, 253, 254, 255) };
    const directory = directoryWith({ plain: small, 'packed.gz': gzipSync(small) });
    const within = new Uint8Array([9, 9, 9, ...small, 9]).subarray(3, 3 + small.length);
    for (const source of [small, new Uint8Array(gzipSync(small)), join(directory, 'plain'), join(directory, 'packed.gz'), within]) expect(await readIdx(source)).toEqual(expected);
    const wide = idx(0x0c, [2], 4, [7, -7], (view, at, value) => view.setInt32(at, value));
    expect((await readIdx(new Uint8Array([9, ...wide]).subarray(1))).values).toEqual(Int32Array.of(7, -7));
  });

  it('refuses what is no IDX file, cut off at any place, or too long', async () => {
    for (let length = 0; length < small.length; length++) await expect(readIdx(small.slice(0, length))).rejects.toThrow(ConfigError);
    await expect(readIdx(small.slice(0, 9))).rejects.toThrow('readIdx: the source must have 12 bytes for its 2 sizes, got 9. Is it truncated?');
    await expect(readIdx(small.slice(0, 17))).rejects.toThrow('readIdx: the source must have 18 bytes for the shape [2, 3], got 17. Is it truncated?');
    await expect(readIdx(new Uint8Array([...small, 0]))).rejects.toThrow('got 19');
    await expect(readIdx(Uint8Array.of(0x50, 0x4b, 3, 4))).rejects.toThrow('readIdx: the source must begin with 00 00, a type of 08 to 0e and a number of axes, got 50 4b 03 04');
    await expect(readIdx(new Uint8Array(0))).rejects.toThrow('got nothing');
  });

  it('names the file that is missing, or packed and damaged', async () => {
    const directory = directoryWith({ 'cut.gz': gzipSync(small).subarray(0, 20) });
    await expect(readIdx(join(directory, 'none'))).rejects.toThrow(`readIdx: ${join(directory, 'none')} must be a readable file, got no such file or directory (ENOENT)`);
    await expect(readIdx(join(directory, 'cut.gz'))).rejects.toThrow(`readIdx: ${join(directory, 'cut.gz')} must be a whole gzip file, got one that cannot be unpacked. Is it truncated?`);
  });
});

describe('readCifar10(source)', () => {
  const pick = picker(4, 'cifar');
  const records = Array.from({ length: 3 }, (_, i) => Uint8Array.from({ length: 3073 }, (_, at) => (at === 0 ? [9, 0, 4][i]! : pick(256))));
  const file = new Uint8Array(records.flatMap((record) => [...record]));

  it('gives labels, and images with channels last or first', async () => {
    const last = await readCifar10(new Uint8Array(gzipSync(file)));
    const first = await readCifar10(file, { channels: 'first' });
    expect([last.shape, first.shape]).toEqual([[3, 32, 32, 3], [3, 3, 32, 32]]);
    expect([[...last.labels], [...first.labels]]).toEqual([[9, 0, 4], [9, 0, 4]]);
    expect(Array.from(last.labels, (label) => CIFAR10_CLASSES[label])).toEqual(['truck', 'airplane', 'deer']);
    for (const [i, c, row, column] of [[0, 0, 0, 0], [1, 2, 31, 31], [2, 1, 5, 17]] as const) {
      const pixel = records[i]![1 + c * 1024 + row * 32 + column];
      expect(last.images[((i * 32 + row) * 32 + column) * 3 + c]).toBe(pixel);
      expect(first.images[((i * 3 + c) * 32 + row) * 32 + column]).toBe(pixel);
    }
    expect(last.images.reduce((sum, value) => sum + value, 0)).toBe(first.images.reduce((sum, value) => sum + value, 0));
  });

  it('refuses parts of images, labels that are none, and options that are none', async () => {
    await expect(readCifar10(file.slice(0, 5000))).rejects.toThrow('readCifar10: the source must have a multiple of 3073 bytes, 3072 per image and its label, got 5000. Is it truncated, or the Python version?');
    await expect(readCifar10(new Uint8Array(0))).rejects.toThrow('got 0');
    const wrong = file.slice();
    wrong[3073] = 10;
    await expect(readCifar10(wrong)).rejects.toThrow('readCifar10: the source must have labels of at most 9, got 10 for image 1. Is it CIFAR-100?');
    await expect(readCifar10(file, { channels: 'middle' as never })).rejects.toThrow('readCifar10: channels must be one of first, last, got middle');
  });
});

import { memory, neg, reshape } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { describe, expect, it } from 'vitest';
import { bitmapUri, inBatches, predictedClasses } from '../src/images.ts';

describe('bitmapUri', () => {
  it('is a BMP: rows from below, filled up to four bytes, blue first', () => {
    const [prefix, data] = bitmapUri({ shape: [2, 3, 3], pixels: Uint8Array.from({ length: 18 }, (_, i) => i) }).split(',') as [string, string];
    const file = new Uint8Array(Buffer.from(data, 'base64'));
    const view = new DataView(file.buffer);
    expect(prefix).toBe('data:image/bmp;base64');
    expect(String.fromCharCode(file[0]!, file[1]!)).toBe('BM');
    expect([2, 10, 18, 22].map((at) => view.getUint32(at, true))).toEqual([file.length, 54, 3, 2]);
    expect([...file.subarray(54)]).toEqual([11, 10, 9, 14, 13, 12, 17, 16, 15, 0, 0, 0, 2, 1, 0, 5, 4, 3, 8, 7, 6, 0, 0, 0]);
  });
});

describe('predictedClasses', () => {
  it('gives a list per head, over all batches', async () => {
    const images = Uint8Array.of(0, 30, 20, 10, 50, 60);
    const batches = inBatches({ shape: [3, 1, 2, 1], images, labels: [0, 1, 1] }, 2, 2);
    expect(batches.map(({ shape, targets }) => [shape, [...targets]])).toEqual([[[2, 1, 2, 1], [1, 0, 0, 1]], [[1, 1, 2, 1], [0, 1]]]);
    const { numTensors } = memory();
    expect(await predictedClasses(batches, (x) => [reshape(x, [-1, 2]), neg(reshape(x, [-1, 2]))])).toEqual([[1, 0, 1], [0, 1, 0]]);
    expect(memory().numTensors).toBe(numTensors);
  });
});

import { attentionIoCount } from '@evenkeel/flash-attention';
import { describe, expect, it } from 'vitest';

/** Algorithm 1 of the paper, counting what each load and store moves. */
function countByWalking(seqLen: number, headDim: number, sramElements: number): number {
  const columns = Math.ceil(sramElements / (4 * headDim));
  const rows = Math.min(columns, headDim);
  let moved = 0;
  for (let j = 0; j < seqLen; j += columns) {
    moved += 2 * Math.min(columns, seqLen - j) * headDim;
    for (let i = 0; i < seqLen; i += rows) {
      const height = Math.min(rows, seqLen - i);
      moved += 2 * height * headDim + 2 * height; // q, out, row sum, row maximum in
      moved += height * headDim + 2 * height; // out, row sum, row maximum out
    }
  }
  return moved;
}

describe('attentionIoCount', () => {
  it.each([[1, 1, 1], [65, 16, 1000], [130, 8, 8], [1024, 64, 25_000], [1000, 32, 4096]])(
    'attentionIoCount({ seqLen: %i, headDim: %i, sramElements: %i }) equals a walk through algorithm 1', (seqLen, headDim, sramElements) => {
      expect(attentionIoCount({ seqLen, headDim, sramElements }).flash).toBe(countByWalking(seqLen, headDim, sramElements));
    });

  it('attentionIoCount falls with the fast memory, down to a small part of what standard attention moves', () => {
    const counts = [64, 1024, 8192, 49_152].map((sramElements) => attentionIoCount({ seqLen: 1024, headDim: 64, sramElements }));
    const flash = counts.map((count) => count.flash);
    expect(flash).toEqual([...flash].sort((a, b) => b - a));
    expect(new Set(counts.map((count) => count.standard))).toEqual(new Set([4 * 1024 * 64 + 4 * 1024 ** 2]));
    expect(flash[3]!).toBeLessThan(counts[3]!.standard / 3);
  });

  it('attentionIoCount rejects a fast memory that cannot hold one row', () => {
    expect(() => attentionIoCount({ seqLen: 8, headDim: 64, sramElements: 63 })).toThrow('attentionIoCount: sramElements must be between 64 and');
    expect(() => attentionIoCount({ seqLen: 0, headDim: 64, sramElements: 64 })).toThrow('attentionIoCount: seqLen must be an integer ≥ 1, got 0');
  });
});

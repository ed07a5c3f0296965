import { alibiSlopesFor, flashAttention } from '@evenkeel/flash-attention';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { dispose, tensor } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { makeCase } from './cases.ts';

forEachBackend(() => {
  it.each([
    [1, [1 / 256]],
    [2, [1 / 16, 1 / 256]],
    [4, [1 / 4, 1 / 16, 1 / 64, 1 / 256]],
    [8, [1, 2, 3, 4, 5, 6, 7, 8].map((i) => 2 ** -i)],
    [3, [1 / 16, 1 / 256, 1 / 4]],
    [6, [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8]],
    [12, [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5].map((i) => 2 ** -i)],
  ])('alibiSlopesFor(%d) gives the slopes of the paper', async (numHeads, expected) => {
    const slopes = alibiSlopesFor(numHeads);
    await expectClose(slopes, Float64Array.from(expected), { rtol: 1e-6, atol: 0 });
    dispose(slopes);
  });

  it('ALiBi as −slope·|i − j| and as +slope·j give the same result where causal, and lse differs by slope times the position', async () => {
    const { q, k, v } = makeCase({ batchSize: 1, seqLen: 33, kvLen: 33, numHeads: 4, headDim: 8 });
    const alibiSlopes = alibiSlopesFor(4);
    const slopes = await alibiSlopes.data();
    const bias = tensor(Float32Array.from({ length: 4 * 33 }, (_, i) => slopes[Math.floor(i / 33)]! * (i % 33)), [1, 4, 1, 33]);
    const [distances, positions] = [flashAttention(q, k, v, { causal: true, alibiSlopes, returnLse: true }), flashAttention(q, k, v, { causal: true, bias, returnLse: true })];
    await expectClose(positions.out, distances.out, { atol: 1e-5 });
    const shift = (await distances.lse.data()).map((x, i) => x + slopes[Math.floor(i / 33)]! * (i % 33));
    await expectClose(positions.lse, shift, { rtol: 1e-5, atol: 1e-5 });
    dispose([q, k, v, alibiSlopes, bias, distances, positions] as never);
  });

  it('alibiSlopesFor(0) says what is wrong', () => {
    expect(() => alibiSlopesFor(0)).toThrow('alibiSlopesFor: numHeads must be an integer ≥ 1, got 0');
    expect(() => (alibiSlopesFor as unknown as () => unknown)()).toThrow('alibiSlopesFor: numHeads must be an integer ≥ 1, got undefined');
  });
});

import { attention64, crossEntropy64, erf64, expectClose, gelu64, layerNorm64, linear64, logSumExp64, matMul64, rmsNorm64, silu64, softmax64, type AttentionSizes64 } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';

describe('oracle', () => {
  it('erf64(x) equals published values', async () => {
    await expectClose([0, 0.5, 1, -2, 3.5, 7].map(erf64), [0, 0.5204998778130465, 0.8427007929497149, -0.9953222650189527, 0.9999992569016276, 1], { rtol: 1e-14, atol: 0 });
  });

  it('matMul64 is the same in all transpose forms', async () => {
    const sizes = { m: 2, k: 3, n: 2 };
    const expected = [22, 28, 49, 64];
    await expectClose(matMul64([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], sizes), Float64Array.from(expected));
    await expectClose(matMul64([1, 4, 2, 5, 3, 6], [1, 3, 5, 2, 4, 6], { ...sizes, transposeA: true, transposeB: true }), Float64Array.from(expected));
    await expectClose(linear64([1, 2], [1, 0, 0, 1, 1, 1], [10, 20, 30], 2), Float64Array.of(11, 22, 33));
  });

  it('softmax64 and logSumExp64 do not overflow', async () => {
    await expectClose(softmax64([1000, 1000, 0, Math.log(3)], 2), Float64Array.of(0.5, 0.5, 0.25, 0.75));
    await expectClose(logSumExp64([1000, 1000], 2), Float64Array.of(1000 + Math.log(2)));
  });

  it('layerNorm64 and rmsNorm64 scale rows', async () => {
    await expectClose(layerNorm64([1, 3], 2, { eps: 0, weight: [2, 3], bias: [0, 1] }), Float64Array.of(-2, 4));
    await expectClose(rmsNorm64([3, 4, 0, 5], 2, { eps: 0 }), Float64Array.of(3, 4, 0, 5).map((x) => x / Math.sqrt(12.5)));
  });

  it('gelu64 and silu64 equal published values', async () => {
    await expectClose(gelu64([1, -1]), Float64Array.of(0.8413447460685429, -0.15865525393145707), { rtol: 1e-14 });
    await expectClose(gelu64([1], 'tanh'), Float64Array.of(0.8411919906082768), { rtol: 1e-12 });
    await expectClose(silu64([0, 1]), Float64Array.of(0, 0.7310585786300049), { rtol: 1e-14 });
  });

  it('attention64 aligns masks bottom-right and gives 0 to rows that see nothing', async () => {
    const sizes = { batchSize: 1, seqLen: 3, kvLen: 2, numHeads: 1, headDim: 1, causal: true };
    const { out, lse } = attention64([0, 0, 0], [1, 1], [5, 7], sizes);
    await expectClose(out, Float64Array.of(0, 5, 6));
    expect([...lse.map((x) => +x.toFixed(6))]).toEqual([Infinity, 0, 0.693147]);
    const windowed = attention64([0, 0], [1, 1], [5, 7], { ...sizes, seqLen: 2, window: [0, 0] });
    await expectClose(windowed.out, Float64Array.of(5, 7));
  });

  it('attention64 lowers scores by slope and distance, adds the bias and drops weights after the softmax', async () => {
    const sizes = { batchSize: 1, seqLen: 1, kvLen: 2, numHeads: 1, headDim: 1, slopes: [Math.log(2)] };
    const bias = { values: [Math.log(3), 0], shape: [1, 1, 1, 2] };
    const outOf = (extra: Partial<AttentionSizes64>) => attention64([0], [1, 1], [5, 7], { ...sizes, ...extra }).out;
    await expectClose(outOf({}), Float64Array.of(19 / 3)); // the query stands at the second key: weights 1 : 2
    await expectClose(outOf({ bias }), Float64Array.of(0.6 * 5 + 0.4 * 7)); // 3 : 2
    await expectClose(outOf({ bias, keep: [0, 2] }), Float64Array.of(0.4 * 2 * 7));
  });

  it('crossEntropy64 follows its formula', async () => {
    const lse = Math.log(Math.E + 1);
    const losses = crossEntropy64([1, 0, 1, 0], [0, -100], 2, { labelSmoothing: 0.1, zLoss: 0.01 });
    await expectClose(losses, Float64Array.of(0.9 * (lse - 1) + 0.1 * (lse - 0.5) + 0.01 * lse ** 2, 0));
  });
});

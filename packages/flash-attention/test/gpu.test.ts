import { GPU_BACKEND, hasKernel, runKernel, vjp, type GpuBackend } from '@evenkeel/core-tensor';
import { attentionReference, flashAttention } from '@evenkeel/flash-attention';
import { expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { backend, dispose, reshape, slice, tensor, tensor1d, tidy, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { expect, it, vi } from 'vitest';
import { attentionWithGrads64, type General64, type Results64 } from './attention64.ts';
import { keepFactors } from './cases.ts';
import { makeGiven, maskOf, norm, runAll, type GpuCase } from './gpuCases.ts';

const CASES: GpuCase[] = [
  ...[[1, 1, 3], [3, 3, 8], [65, 130, 8], [130, 65, 16], [1, 130, 8]].map(([seqLen, kvLen, headDim]) => ({ title: `${seqLen} queries, ${kvLen} keys of width ${headDim}`, sizes: { seqLen, kvLen, headDim, causal: true } })),
  ...[32, 64, 80, 128, 256].map((headDim) => ({ title: `heads of width ${headDim}`, sizes: { batchSize: 1, seqLen: 19, kvLen: 21, headDim, causal: true } })),
  ...[64, 256].map((headDim) => ({ title: `heads of width ${headDim}, rows split among threads`, tile: { split: headDim / 16 }, sizes: { batchSize: 1, seqLen: 19, kvLen: 21, headDim } })),
  { title: 'a soft cap', sizes: { softcap: 1.5, causal: true } },
  { title: 'a block mask along the tiles', sizes: { seqLen: 130, kvLen: 130, ...maskOf(130, 130, 64, 64) } },
  { title: 'a block mask across the tiles', sizes: { seqLen: 65, kvLen: 67, ...maskOf(65, 67, 12, 5), causal: true } },
  { title: 'a block mask that hides all from some', sizes: { seqLen: 65, kvLen: 65, blockMask: Int32Array.from([0, 0, 0, 0, 1, 1, 0, 1, 1]), blockQ: 24, blockK: 24 } },
  { title: 'everything', slopes: 'bh', bias: [true, true, true, true], dropout: 0.2, sizes: { softcap: 2, ...maskOf(65, 65, 12, 5), window: [40, 3], numHeads: 4, numKvHeads: 2 } },
  { title: 'everything, one key head, of odd width', slopes: 'h', bias: [false, true, true, false], dropout: 0.2, sizes: { softcap: 2, ...maskOf(9, 65, 4, 8), seqLen: 9, headDim: 5, causal: true, numHeads: 3, numKvHeads: 1 } },
];

vi.setConfig({ testTimeout: 300_000 }); // compiling for a CPU takes seconds per program

forEachBackend([GPU_BACKEND], () => {
  it.each(CASES)('results, statistics and gradients of attentionGeneralStats agree with float64: $title', async (each) => {
    const given = makeGiven(each);
    const results = runAll(given);
    for (const [name, result] of Object.entries(results) as [keyof Results64, Tensor][]) {
      const expected = given.expected[name];
      if (each.sizes?.kvLen !== 1 || name === 'out') expect(norm(expected), name).toBeGreaterThan(0);
      await expectClose(await result.data(), expected, { rtol: 1e-4, atol: 2e-5 });
    }
    dispose([given.inputs, given.dy, results] as never);
  });

  it('attention does not depend on the tiles, and is the same bit by bit when it is run again', async () => {
    const tiles = [{ threads: 32, rows: 1, keys: 8 }, { lanes: false, rows: 1, split: 1, keys: 16 }, { threads: 64, rows: 1, split: 2, keys: 4, lanes: false }, { rows: 2, keys: 32 }, { threads: 128, keys: 64 }];
    const given = makeGiven({ title: '', slopes: 'h', bias: [false, true, true, true], sizes: { seqLen: 130, kvLen: 130, causal: true } });
    const first = runAll(given);
    const again = runAll(given);
    for (const [name, result] of Object.entries(again)) await expectClose(result, first[name as 'out']!, { rtol: 0, atol: 0 });
    for (const tile of tiles) {
      const other = runAll({ ...given, attrs: { ...given.attrs, tile } });
      for (const [name, result] of Object.entries(other)) await expectClose(result, first[name as 'out']!, { rtol: 1e-5, atol: name === 'dbias' ? 3e-6 : 1e-6 });
      dispose(other as never);
    }
    dispose([given.inputs, given.dy, first, again] as never);
  });

  it.each([{ dropout: 0, slopes: false }, { dropout: 0.3, slopes: true }, { dropout: 0.3, slopes: true, tile: { lanes: false } }])('attentionVarlen gives each sequence what it gets alone, and zeros to rows of none: %j', async ({ dropout, slopes, tile }) => {
    const [lengthsQ, lengthsK, H, G, D] = [[5, 0, 70, 1], [9, 3, 70, 4], 4, 2, 8] as const;
    const ends = (lengths: readonly number[]) => lengths.reduce((all, length) => [...all, all.at(-1)! + length], [0]);
    const [cuQ, cuK] = [ends(lengthsQ), ends(lengthsK)];
    const [n, m] = [cuQ.at(-1)! + 2, cuK.at(-1)! + 3];
    const [q, dy] = [randomTensor([n, H, D], { seed: 1 }), randomTensor([n, H, D], { seed: 2 })];
    const [k, v] = [randomTensor([m, G, D], { seed: 3 }), randomTensor([m, G, D], { seed: 4 })];
    const [cuSeqlensQ, cuSeqlensK] = [tensor1d(cuQ, 'int32'), tensor1d(cuK, 'int32')];
    const alibiSlopes = slopes ? randomTensor([4, H], { seed: 6 }) : undefined;
    const attrs = { scale: 0.4, causal: true, windowLeft: 50, windowRight: -1, dropout, seed: 77, ...(tile && { tile }) };
    const inputs = { q, k, v, cuSeqlensQ, cuSeqlensK, alibiSlopes };
    const varlenAttrs = { ...attrs, maxSeqlenQ: 70, maxSeqlenK: 70 };
    const [out, lse] = runKernel<Tensor[]>('evenkeel/attentionVarlen', inputs, varlenAttrs) as [Tensor, Tensor];
    const [dq, dk, dv] = runKernel<Tensor[]>('evenkeel/attentionVarlenGrad', { ...inputs, out, lse, dy }, varlenAttrs) as [Tensor, Tensor, Tensor];
    const found = { out: await out.data(), lse: await lse.data(), dq: await dq.data(), dk: await dk.data(), dv: await dv.data() };
    const keep = keepFactors(77, dropout, H * n * 70);
    for (const [b, t] of lengthsQ.entries()) {
      const s = lengthsK[b]!;
      const rows = async (x: Tensor, at: number, count: number) => (await x.data()).slice(at * x.size / x.shape[0]!, (at + count) * x.size / x.shape[0]!);
      const [Q, K, V, DY] = [await rows(q, cuQ[b]!, t), await rows(k, cuK[b]!, s), await rows(v, cuK[b]!, s), await rows(dy, cuQ[b]!, t)];
      const own = Float64Array.from({ length: H * t * s }, (_, i) => keep[(Math.floor(i / (t * s)) * n + cuQ[b]! + Math.floor(i / s) % t) * 70 + (i % s)]!);
      const sizes: General64 = {
        batchSize: 1, seqLen: t, kvLen: s, numHeads: H, numKvHeads: G, headDim: D, scale: 0.4, causal: true, window: [50, -1], ...(dropout > 0 && { keep: own }),
        ...(alibiSlopes && { slopes: (await alibiSlopes.data()).slice(b * H, (b + 1) * H) }),
      };
      const expected = attentionWithGrads64(Q, K, V, DY, sizes);
      const part = (values: ArrayLike<number>, at: number, count: number, width: number) => Array.from(values).slice(at * width, (at + count) * width);
      for (const name of ['out', 'dq'] as const) await expectClose(Float32Array.from(part(found[name], cuQ[b]!, t, H * D)), expected[name], { rtol: 1e-4, atol: 2e-5 });
      for (const name of ['dk', 'dv'] as const) await expectClose(Float32Array.from(part(found[name], cuK[b]!, s, G * D)), expected[name], { rtol: 1e-4, atol: 2e-5 });
      for (let h = 0; h < H; h++) await expectClose(found.lse.slice(h * n + cuQ[b]!, h * n + cuQ[b]! + t), expected.lse.slice(h * t, (h + 1) * t), { rtol: 1e-5, atol: 1e-5 });
      if (t === 70 && dropout === 0) {
        // Alone, bit by bit.
        const alone = tidy(() => [q, k, v, dy].map((x, i) => reshape(slice(x, [(i % 3 === 0 ? cuQ : cuK)[b]!, 0, 0], [70, x.shape[1]!, D]), [1, 70, x.shape[1]!, D]))) as [Tensor, Tensor, Tensor, Tensor];
        const [alibi] = [alibiSlopes && slice(alibiSlopes, [b, 0], [1, H])];
        const single = { q: alone[0], k: alone[1], v: alone[2], alibiSlopes: alibi };
        const [aloneOut, aloneLse] = runKernel<Tensor[]>('evenkeel/attention', single, attrs) as [Tensor, Tensor];
        const grads = runKernel<Tensor[]>('evenkeel/attentionGrad', { ...single, out: aloneOut, lse: aloneLse, dy: alone[3] }, attrs);
        await expectClose(await aloneOut.data(), Float32Array.from(part(found.out, cuQ[b]!, t, H * D)), { rtol: 0, atol: 0 });
        await expectClose(await grads[0]!.data(), Float32Array.from(part(found.dq, cuQ[b]!, t, H * D)), { rtol: 0, atol: 0 });
        await expectClose(await grads[1]!.data(), Float32Array.from(part(found.dk, cuK[b]!, s, G * D)), { rtol: 0, atol: 0 });
        dispose([alone, aloneOut, aloneLse, grads, ...(alibi ? [alibi] : [])]);
      }
    }
    for (const [name, at, width] of [['out', cuQ.at(-1)!, H * D], ['dq', cuQ.at(-1)!, H * D], ['dk', cuK.at(-1)!, G * D], ['dv', cuK.at(-1)!, G * D]] as const) {
      expect(Array.from(found[name]).slice(at * width).every((x) => x === 0), name).toBe(true);
    }
    for (let h = 0; h < H; h++) expect(Array.from(found.lse).slice(h * n + n - 2, h * n + n)).toEqual([Infinity, Infinity]);
    dispose([q, k, v, dy, cuSeqlensQ, cuSeqlensK, out, lse, dq, dk, dv, ...(alibiSlopes ? [alibiSlopes] : [])]);
  });

  it('a query whose scores are all −Infinity has row maximum −Infinity and NaN otherwise; scores of 1e4 have a right entropy', async () => {
    const given = makeGiven({ title: '', bias: [false, false, false, true], sizes: { seqLen: 3, kvLen: 5 } });
    const nothing = tensor(new Float32Array(5).fill(-Infinity), [1, 1, 1, 5]);
    const results = runKernel<Tensor[]>('evenkeel/attentionGeneralStats', { ...given.inputs, bias: nothing }, given.attrs);
    expect((await results[2]!.data()).every((x) => x === -Infinity)).toBe(true);
    for (const i of [0, 1, 3]) expect((await results[i]!.data()).every(Number.isNaN)).toBe(true);
    const large = tensor(Float32Array.from([1e4, 1e4, 0, -1e4, 1e4]), [1, 1, 1, 5]);
    const even = runKernel<Tensor[]>('evenkeel/attentionGeneralStats', { ...given.inputs, q: zeros(given.inputs.q!.shape), bias: large }, given.attrs);
    await expectClose(even[3]!, new Float32Array(12).fill(Math.log(3)), { rtol: 1e-6 });
    dispose([given.inputs, given.dy, nothing, results, large, even] as never);
  });

  it('the kernels are there, leave nothing behind, and refuse heads that are too wide by the limit', async () => {
    for (const name of ['', 'Stats', 'Grad', 'Packed', 'PackedStats', 'PackedGrad', 'General', 'GeneralStats', 'GeneralGrad', 'Varlen', 'VarlenGrad', 'BiasGrad']) expect(hasKernel(`evenkeel/attention${name}`), name).toBe(true);
    const given = makeGiven({ title: '', slopes: 'h', bias: [false, true, true, true], sizes: { seqLen: 5, kvLen: 5, softcap: 2, ...maskOf(5, 5, 2, 2) } });
    await expectNoLeak(() => runAll(given));
    const wide = randomTensor([1, 3, 1, 260]);
    await expectNoLeak(() => runKernel('evenkeel/attention', { q: wide, k: wide, v: wide }, given.attrs), { throws: 'attention: headDim must be at most 256 on this device, got 260' });
    dispose([given.inputs, given.dy, wide] as never);
  });

  it('16,384 tokens, forward and backward, stay within 256 MiB on the device, where the composed attention finds no room', async () => {
    const { pool, limits } = backend() as unknown as GpuBackend & { pool: { peakBytesUsed: number; numBytesUsed: number } };
    const [length, width] = [16384, 64];
    const [q, k, v, dy] = [1, 2, 3, 4].map((seed) => randomTensor([1, length, 1, width], { seed })) as [Tensor, Tensor, Tensor, Tensor];
    pool.peakBytesUsed = pool.numBytesUsed;
    const { value, grads } = vjp(() => flashAttention(q, k, v, { causal: true }), [q, k, v], dy);
    const [out, dv] = await Promise.all([value.data(), grads[2]!.data()]);
    expect(pool.peakBytesUsed).toBeLessThan(256 * 2 ** 20);
    const [qs, ks, vs, dys] = (await Promise.all([q, k, v, dy].map((x) => x.data()))) as [Float32Array, Float32Array, Float32Array, Float32Array];
    for (const row of [0, 1, 8191, length - 1]) await expectClose(out.slice(row * width, (row + 1) * width), attendTo(row, { qs, ks, vs, width }), { rtol: 1e-4, atol: 1e-5 });
    // The weights of a query add up to 1, so over all keys dv adds up to what dy adds up to over all queries.
    const total = (x: ArrayLike<number>, channel: number): number => Array.from({ length }, (_, i) => x[i * width + channel] as number).reduce((a, b) => a + b);
    for (let c = 0; c < width; c++) expect(total(dv as Float32Array, c)).toBeCloseTo(total(dys, c), 1);
    const isTooLarge = 4 * length ** 2 > limits.maxStorageBufferBindingSize; // of all software adapters, not of every GPU
    if (isTooLarge) expect(() => tidy(() => attentionReference(q, k, v, { causal: true }))).toThrow(/a tensor must have at most \d+ bytes on this device, got 1073741824 for \[1, 1, 16384, 16384\]/);
    dispose([q, k, v, dy, value, grads]);
  });
});

/** What the query of a row makes of the keys up to it, in float64. */
function attendTo(row: number, { qs, ks, vs, width }: { qs: Float32Array; ks: Float32Array; vs: Float32Array; width: number }): Float64Array {
  const at = (x: Float32Array, i: number, c: number): number => x[i * width + c] as number;
  const channels = Array.from({ length: width }, (_, c) => c);
  const scores = Array.from({ length: row + 1 }, (_, i) => channels.reduce((sum, c) => sum + at(qs, row, c) * at(ks, i, c), 0) / Math.sqrt(width));
  const most = scores.reduce((a, b) => Math.max(a, b));
  const weights = scores.map((score) => Math.exp(score - most));
  const all = weights.reduce((a, b) => a + b);
  return Float64Array.from(channels, (c) => weights.reduce((sum, weight, i) => sum + weight * at(vs, i, c), 0) / all);
}

import { valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { attentionReference, flashAttention, type FlashAttentionOptions } from '@evenkeel/flash-attention';
import { attention64, checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomArray, type AttentionSizes64 } from '@evenkeel/testing';
import { add, concat, dispose, mul, reshape, slice, sum, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { makeCase, withTerms, type AttentionCase, type Terms } from './cases.ts';

type Tiles = { blockSize?: [number, number]; rows: string[] };
type Case = Terms & { title: string; sizes?: Partial<AttentionSizes64>; tiles?: Tiles };
type Made = AttentionCase & { terms: { alibiSlopes?: Tensor; bias?: Tensor; blockMask?: Tensor } };

const all = [true, true, true, true] as const;
const base: AttentionSizes64 = { batchSize: 2, seqLen: 65, kvLen: 65, numHeads: 2, headDim: 8 };

/** `rows` of the block mask: x keeps a tile, . leaves it out. Row ., all of it, leaves its queries with nothing. */
const CASES: Case[] = [
  { title: 'a cap of 2', sizes: { softcap: 2 } },
  { title: 'a cap of 0.5, causal, grouped heads', sizes: { softcap: 0.5, causal: true, numHeads: 6, numKvHeads: 2 } },
  { title: 'a cap with all terms', slopes: 'bh', bias: all, dropout: 0.2, sizes: { softcap: 1.5, causal: true, window: [20, 0], seqLen: 33 } },
  { title: 'a cap where some queries see nothing', sizes: { softcap: 2, causal: true, seqLen: 7, kvLen: 3 } },
  { title: 'no cap: statistics only', sizes: { causal: true } },
  { title: 'one token', sizes: { seqLen: 1, kvLen: 1, softcap: 3 } },
  { title: 'tiles of 64', tiles: { rows: ['x.', 'xx'] } },
  { title: 'tiles of 16 × 24, causal', sizes: { causal: true }, tiles: { blockSize: [16, 24], rows: ['x..', 'xx.', '.x.', 'x.x', '..x'] } },
  { title: 'tiles of 3 × 2, and queries with nothing left', sizes: { seqLen: 7, kvLen: 5 }, tiles: { blockSize: [3, 2], rows: ['x.x', '...', '.x.'] } },
  { title: 'tiles that miss all that is causal', sizes: { seqLen: 6, kvLen: 6, causal: true }, tiles: { blockSize: [2, 2], rows: ['.xx', '..x', 'x..'] } },
  { title: 'a window over more queries than keys, in tiles', sizes: { seqLen: 9, kvLen: 4, window: [2, 1] }, tiles: { blockSize: [4, 3], rows: ['xx', 'x.', '.x'] } },
  { title: 'everything', slopes: 'h', bias: all, dropout: 0.3, sizes: { softcap: 1, causal: true, numHeads: 4, numKvHeads: 2, seqLen: 20, kvLen: 23 }, tiles: { blockSize: [8, 8], rows: ['x.x', 'xx.', 'xxx'] } },
];

function make({ title: _, sizes, tiles, ...terms }: Case): Made {
  const made = withTerms(makeCase({ ...base, ...sizes }), terms);
  const softcap = made.sizes.softcap ?? 0;
  if (tiles === undefined) return { ...made, options: { ...made.options, softcap } };
  const { rows, blockSize = [64, 64] } = tiles;
  const kept = rows.map((row) => [...row].map((tile) => tile === 'x'));
  const blockMask = tensor(kept.flat(), [rows.length, kept[0]!.length], 'bool');
  return {
    ...made, terms: { ...made.terms, blockMask }, options: { ...made.options, softcap, blockMask, blockSize },
    sizes: { ...made.sizes, hides: (_b, t, s) => !kept[Math.floor(t / blockSize[0])]![Math.floor(s / blockSize[1])]! },
  };
}

/** Small enough for finite differences. */
const small = (each: Case): Case => {
  const { batchSize = 2, seqLen = 5, kvLen = 5, window, ...rest } = each.sizes ?? {};
  const cut = { ...rest, batchSize, headDim: 4, seqLen: Math.min(seqLen, 9), kvLen: Math.min(kvLen, 9), ...(window && { window: [Math.min(window[0], 2), window[1]] as const }) };
  const { rows, blockSize = [64, 64] } = each.tiles ?? { rows: [] };
  if (rows.length === 0 || each.sizes?.seqLen === cut.seqLen) return { ...each, sizes: cut };
  return { ...each, sizes: { ...cut, seqLen: 2 * rows.length, kvLen: 2 * rows[0]!.length }, tiles: { rows, blockSize: blockSize.map(() => 2) as [number, number] } };
};

const free = (made: Made, ...more: unknown[]): void => { dispose([made.q, made.k, made.v, Object.values(made.terms), more] as never); };

forEachBackend(() => {
  it.each(CASES)('flashAttention(q, k, v, { softcap, blockMask, returnStats }) agrees with the float64 oracle: $title', async (each) => {
    const made = make(each);
    const expected = attention64(made.values.q, made.values.k, made.values.v, made.sizes);
    for (const attention of [flashAttention, attentionReference]) {
      const stats = attention(made.q, made.k, made.v, { ...made.options, returnStats: true });
      const [alone, withLse] = [attention(made.q, made.k, made.v, made.options), attention(made.q, made.k, made.v, { ...made.options, returnLse: true })];
      for (const name of ['out', 'lse', 'rowMax', 'entropy'] as const) await expectClose(stats[name], expected[name], { rtol: 1e-5, atol: 1e-5 });
      for (const out of [alone, withLse.out]) await expectClose(out, expected.out, { rtol: 1e-5, atol: 1e-5 });
      await expectClose(withLse.lse, stats.lse, { rtol: 1e-6, atol: 1e-6 });
      expect([stats.lse.shape, stats.rowMax.shape, stats.entropy.shape]).toEqual([0, 1, 2].map(() => [made.sizes.batchSize, made.sizes.numHeads, made.sizes.seqLen]));
      dispose([stats, alone, withLse] as never);
    }
    free(made);
  });

  it.each(CASES)('the gradients of out, and with returnLse of lse, match finite differences: $title', async (each) => {
    const made = make(small(each));
    const { bias } = made.terms;
    const inputs: Record<string, Tensor> = { q: made.q, k: made.k, v: made.v, ...(bias && { bias }) };
    const optionsOf = (p: Record<string, Tensor>) => ({ ...made.options, ...(p.bias && { bias: p.bias }) });
    const oracle = (p: Record<string, Float64Array>) => attention64(p.q!, p.k!, p.v!, { ...made.sizes, ...(bias && { bias: { values: p.bias!, shape: bias.shape } }) });
    const flat = made.sizes.kvLen === 1 ? ['q', 'k'] : []; // a single key always has weight 1
    await checkOpGrad<string>({
      op: (p) => flashAttention(p.q as Tensor, p.k as Tensor, p.v as Tensor, optionsOf(p)), oracle64: (p) => oracle(p).out, inputs, directions: 2, flat,
    });
    await checkOpGrad<string>({
      op: (p) => flashAttention(p.q as Tensor, p.k as Tensor, p.v as Tensor, { ...optionsOf(p), returnStats: true }).out, oracle64: (p) => oracle(p).out, inputs, directions: 2, flat,
    });
    if (oracle({ q: Float64Array.from(made.values.q), k: Float64Array.from(made.values.k), v: Float64Array.from(made.values.v), ...(bias && { bias: Float64Array.from(await bias.data()) }) }).lse.every(Number.isFinite)) {
      await checkOpGrad<string>({
        op: (p) => {
          const { out, lse } = flashAttention(p.q as Tensor, p.k as Tensor, p.v as Tensor, { ...optionsOf(p), returnLse: true });
          return concat([reshape(out, [-1]), reshape(lse, [-1])]);
        },
        oracle64: (p) => { const { out, lse } = oracle(p); return Float64Array.from([...out, ...lse]); }, inputs, directions: 2,
      });
    }
    free(made);
  });

  it('flashAttention(q, k, v, { softcap }) approaches no cap as the cap grows', async () => {
    const made = make({ title: '', sizes: { seqLen: 33, kvLen: 33, causal: true } });
    const bare = flashAttention(made.q, made.k, made.v, { causal: true, returnLse: true });
    for (const softcap of [1e4, 1e9, 1e30]) {
      const capped = flashAttention(made.q, made.k, made.v, { causal: true, softcap, returnLse: true });
      await expectClose(capped.out, bare.out, { atol: 1e-5 });
      await expectClose(capped.lse, bare.lse, { atol: 1e-5 });
      dispose(capped);
    }
    free(made, bare);
  });

  it('flashAttention(q, k, v, { softcap }) caps scores that are small against the cap as exactly as others', async () => {
    const [c, x] = [50, Float32Array.from({ length: 201 }, (_, i) => (i - 100) / 4)]; // up to half the cap
    const [q, one] = [tensor(x, [1, 201, 1, 1]), tensor([1], [1, 1, 1, 1])];
    const { rowMax, out, lse, entropy } = flashAttention(q, one, one, { softcap: c, returnStats: true });
    await expectClose(rowMax, Float64Array.from(x, (score) => c * Math.tanh(score / c)), { rtol: 1e-6, atol: 0 }); // a single key has the largest score
    dispose([q, one, rowMax, out, lse, entropy]);
  });

  it('flashAttention(q, k, v, { softcap }) keeps every score within ±c, also for products of 1e4', async () => {
    const made = makeCase({ ...base, seqLen: 33, kvLen: 33 }, 60);
    const [c, count] = [3, 33];
    const { rowMax, lse, out } = flashAttention(made.q, made.k, made.v, { softcap: c, returnStats: true });
    for (const value of await rowMax.data()) expect(Math.abs(value)).toBeLessThanOrEqual(c * (1 + 1e-6));
    for (const value of await lse.data()) expect(Math.abs(value - Math.log(count))).toBeLessThanOrEqual(c * (1 + 1e-6));
    await expectClose(out, attention64(made.values.q, made.values.k, made.values.v, { ...made.sizes, softcap: c }).out, { atol: 1e-4 });
    dispose([made.q, made.k, made.v, rowMax, lse, out]);
  });

  it('a block mask of ones is bit-equal to none, and one of causal tiles with causal to causal', async () => {
    for (const options of [{}, { causal: true }, { causal: true, softcap: 2 }] as FlashAttentionOptions[]) {
      const made = makeCase({ ...base, seqLen: 130, kvLen: 130, batchSize: 1 });
      const dy = tensor(randomArray(made.q.size, { seed: 5 }), made.q.shape);
      const tiles = (kept: (i: number, j: number) => boolean) => tensor(Array.from({ length: 9 * 5 }, (_, i) => kept(Math.floor(i / 5), i % 5)), [9, 5], 'bool');
      const attend = (of: FlashAttentionOptions) => flashAttention(made.q, made.k, made.v, of as FlashAttentionOptions & { returnLse?: false });
      const ones = tiles(() => true);
      const causal = tiles((i, j) => j * 32 <= i * 16 + 15);
      const bare = vjp(() => attend(options), [made.q, made.k, made.v], dy);
      for (const blockMask of options.causal === true ? [ones, causal] : [ones]) {
        const sparse = vjp(() => attend({ ...options, blockMask, blockSize: [16, 32] }), [made.q, made.k, made.v], dy);
        await expectClose(sparse.value, bare.value, { rtol: 0, atol: 0 });
        for (const [i, grad] of sparse.grads.entries()) await expectClose(grad, bare.grads[i]!, { rtol: 0, atol: 0 });
        dispose([sparse.value, sparse.grads]);
      }
      dispose([made.q, made.k, made.v, dy, ones, causal, bare.value, bare.grads]);
    }
  });

  it('keys and values in tiles that are left out change nothing, and queries with nothing left give 0, lse +Infinity and no gradient', async () => {
    const made = makeCase({ ...base, seqLen: 6, kvLen: 6 });
    const blockMask = tensor([1, 0, 0, 0, 0, 1], [3, 2], 'int32');
    const options = { blockMask, blockSize: [2, 3] as const };
    const changed = [made.values.k, made.values.v].map((values) => tensor(values.map((value, i) => (Math.floor(i / 16) % 6 < 3 ? value : value + 100)), made.k.shape)) as [Tensor, Tensor];
    const [before, after] = [flashAttention(made.q, made.k, made.v, options), flashAttention(made.q, ...changed, options)];
    const rowsOf = async (x: Tensor, from: number, to: number) => (await x.data()).filter((_, i) => Math.floor(i / 16) % 6 >= from && Math.floor(i / 16) % 6 < to);
    await expectClose(await rowsOf(after, 0, 2), await rowsOf(before, 0, 2), { rtol: 0, atol: 0 });
    expect((await rowsOf(before, 2, 4)).every((value) => value === 0)).toBe(true);
    const { lse, rowMax, entropy, out } = flashAttention(made.q, made.k, made.v, { ...options, returnStats: true });
    for (const [x, value] of [[lse, Infinity], [rowMax, -Infinity], [entropy, 0]] as const) {
      expect((await x.data()).filter((_, i) => i % 6 === 2 || i % 6 === 3)).toEqual(new Float32Array(8).fill(value));
    }
    const { value, grads } = valueAndGrad((p: { q: Tensor; k: Tensor; v: Tensor }) => sum(flashAttention(p.q, p.k, p.v, options)), { q: made.q, k: made.k, v: made.v });
    for (const grad of Object.values(grads)) expect((await grad.data()).every(Number.isFinite)).toBe(true);
    expect((await rowsOf(grads.q, 2, 4)).every((each) => each === 0)).toBe(true);
    dispose([made.q, made.k, made.v, blockMask, changed, before, after, lse, rowMax, entropy, out, value, grads]);
  });

  it('entropy is log s for equal scores, at most that for others, and near 0 for one far above the rest', async () => {
    const made = makeCase({ ...base, seqLen: 9, kvLen: 37 });
    const [flatQ, sharp] = [mul(made.q, 0), makeCase({ ...base, seqLen: 9, kvLen: 37 }, 60)];
    const [even, usual, peaked] = [flashAttention(flatQ, made.k, made.v, { returnStats: true }), flashAttention(made.q, made.k, made.v, { returnStats: true }), flashAttention(sharp.q, sharp.k, sharp.v, { returnStats: true })];
    await expectClose(even.entropy, new Float32Array(36).fill(Math.log(37)), { rtol: 1e-6 });
    for (const value of await usual.entropy.data()) expect(value > 0 && value < Math.log(37)).toBe(true);
    const expected = attention64(sharp.values.q, sharp.values.k, sharp.values.v, sharp.sizes).entropy;
    await expectClose(peaked.entropy, expected, { atol: 1e-2, rtol: 2e-2 }); // scores of 1e4 are exact to 1e-3
    dispose([made.q, made.k, made.v, sharp.q, sharp.k, sharp.v, flatQ, even, usual, peaked] as never);
  });

  it('statistics do not depend on dropout, and their gradient is refused', async () => {
    const { q, k, v } = makeCase({ ...base, seqLen: 5, kvLen: 5 });
    const [dropped, bare] = [flashAttention(q, k, v, { dropout: 0.5, train: true, seed: 1, returnStats: true }), flashAttention(q, k, v, { returnStats: true })];
    for (const name of ['lse', 'rowMax', 'entropy'] as const) {
      await expectClose(dropped[name], bare[name], { rtol: 1e-6 });
      for (const attention of [flashAttention, attentionReference]) {
        await expectNoLeak(() => valueAndGrad((p: { q: Tensor }) => sum(attention(p.q, k, v, { returnStats: true })[name]), { q }), {
          throws: `${attention.name}: ${name} of returnStats must only be watched, got a request for its gradient. Use returnLse for that of lse.`,
        });
      }
    }
    dispose([q, k, v, dropped, bare] as never);
  });

  it.each([{ causal: true, softcap: 2 }, { softcap: 1.5, dropout: 0.4, train: true, seed: 3 }])('the gradient of the scores adds up to 0 in every row, with a cap as without, also with dropout: %j', async (options) => {
    // A bias is added after the cap, so that its gradient is that of the scores.
    const made = withTerms(makeCase({ ...base, seqLen: 7, kvLen: 9 }), { bias: all });
    const dy = tensor(randomArray(made.q.size, { seed: 9 }), made.q.shape);
    const { value, grads } = vjp(() => flashAttention(made.q, made.k, made.v, { ...options, bias: made.terms.bias! }), [made.terms.bias!], dy);
    const rows = sum(grads[0]!, -1); // b h t
    expect(Math.max(...(await grads[0]!.data()).map(Math.abs))).toBeGreaterThan(0.05);
    await expectClose(rows, new Float32Array(rows.size), { atol: 1e-5 });
    dispose([made.q, made.k, made.v, made.terms, dy, value, grads, rows]);
  });

  it('a block mask with other numbers than 0 and 1 keeps all that are not 0', async () => {
    const { q, k, v } = makeCase({ ...base, seqLen: 4, kvLen: 4 });
    const [ints, bools] = [tensor([5, 0, -1, 0], [2, 2], 'int32'), tensor([1, 0, 1, 0], [2, 2], 'bool')];
    const [a, b] = [ints, bools].map((blockMask) => flashAttention(q, k, v, { blockMask, blockSize: [2, 2] })) as [Tensor, Tensor];
    await expectClose(a, b, { rtol: 0, atol: 0 });
    dispose([q, k, v, ints, bools, a, b]);
  });

  it('flashAttention.packed(qkv, { softcap, blockMask, returnStats }) equals flashAttention of the parts', async () => {
    const qkv = tensor(randomArray(2 * 7 * 4 * 3, { seed: 4 }), [2, 7, 12]);
    const blockMask = tensor([1, 0, 1, 1], [2, 2], 'int32');
    const sizes = { numHeads: 2, numKvHeads: 1 };
    const options = { softcap: 1, blockMask, blockSize: [4, 4], causal: true } as const;
    const taken = (): [Tensor, Tensor, Tensor] => tidy(() => [[0, 6, 2], [6, 3, 1], [9, 3, 1]].map(([at, width, heads]) => reshape(slice(qkv, [0, 0, at!], [2, 7, width!]), [2, 7, heads!, 3]))) as [Tensor, Tensor, Tensor];
    const packed = flashAttention.packed(qkv, { ...sizes, ...options, returnStats: true });
    const [q, k, v] = taken();
    const apart = flashAttention(q, k, v, { ...options, returnStats: true });
    for (const name of ['out', 'lse', 'rowMax', 'entropy'] as const) await expectClose(packed[name], apart[name], { rtol: 1e-6, atol: 1e-6 });
    dispose([qkv, blockMask, packed, q, k, v, apart] as never);
  });

  it('flashAttention(q, k, v, { softcap, blockMask }) frees all but its results, also in gradients', async () => {
    const made = make(small(CASES.at(-1)!));
    const { q, k, v, options, terms: { bias } } = made;
    await expectNoLeak(() => flashAttention(q, k, v, options));
    await expectNoLeak(() => flashAttention(q, k, v, { ...options, returnStats: true }));
    await expectNoLeak(() => valueAndGrad((p: { q: Tensor; bias: Tensor }) => sum(flashAttention(p.q, k, v, { ...options, bias: p.bias })), { q, bias: bias! }));
    await expectNoLeak(() => valueAndGrad((p: { q: Tensor; k: Tensor }) => {
      const { out, lse } = flashAttention(p.q, p.k, v, { softcap: 2, returnLse: true });
      return add(sum(out), sum(lse));
    }, { q, k }));
    free(made);
  });
});

describe('flashAttention', () => {
  const ones = (shape: number[], dtype: 'float32' | 'int32' = 'float32') => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape, dtype);
  const check = (options: object, message: string): void => {
    const [q, k, v] = [ones([2, 3, 4, 8]), ones([2, 5, 2, 8]), ones([2, 5, 2, 8])];
    for (const attention of [flashAttention, attentionReference]) expect(() => attention(q, k, v, options)).toThrow(`${attention.name}: ${message}`);
    dispose([q, k, v]);
  };

  it.each([
    [{ softcap: -1 }, 'softcap must be 0 (none) or between 1e-6 and 1e30, got -1'],
    [{ softcap: Infinity }, 'softcap must be 0 (none) or between 1e-6 and 1e30, got Infinity'],
    [{ softcap: NaN }, 'softcap must be 0 (none) or between 1e-6 and 1e30, got NaN'],
    [{ softcap: '3' }, 'softcap must be 0 (none) or between 1e-6 and 1e30, got 3'],
    [{ blockSize: 64 }, 'blockSize must be [blockQ, blockK], got 64'],
    [{ blockSize: [0, 64] }, 'blockSize[0] must be an integer ≥ 1, got 0'],
    [{ blockSize: [64, 1.5] }, 'blockSize[1] must be an integer ≥ 1, got 1.5'],
    [{ blockMask: [[1]] }, 'blockMask must be a tensor, got object'],
    [{ keyPaddingMask: true }, 'keyPaddingMask must be a tensor, got boolean'],
    [{ bias: 3 }, 'bias must be a tensor, got number'],
    [{ alibiSlopes: [1, 2] }, 'alibiSlopes must be a tensor, got object'],
  ])('flashAttention(q, k, v, %j) says what is wrong', (options, message) => check(options, message));

  it('flashAttention(q, k, v, { blockMask, keyPaddingMask }) says which shape or dtype is wrong', () => {
    const [wide, floats, short] = [ones([2, 1], 'int32'), ones([1, 1]), ones([2, 4], 'int32')];
    check({ blockMask: wide }, 'blockMask must have shape [1, 1], got [2, 1]');
    check({ blockMask: wide, blockSize: [2, 2] }, 'blockMask must have shape [2, 3], got [2, 1]');
    check({ blockMask: floats }, 'blockMask must have dtype bool or int32, got float32');
    check({ keyPaddingMask: short }, 'keyPaddingMask must have shape [2, 5], got [2, 4]');
    check({ keyPaddingMask: floats }, 'keyPaddingMask must have dtype bool or int32, got float32');
    dispose([wide, floats, short]);
  });

  it('every function names the argument that a caller without types forgot', () => {
    const q = ones([1, 2, 1, 4]);
    const loose = flashAttention as unknown as ((...given: unknown[]) => Tensor) & { packed: (...given: unknown[]) => Tensor };
    expect(() => loose()).toThrow('flashAttention: q must be a tensor, got undefined');
    expect(() => loose(q)).toThrow('flashAttention: k must be a tensor, got undefined');
    expect(() => loose(q, q, null)).toThrow('flashAttention: v must be a tensor, got null');
    expect(() => loose.packed()).toThrow('flashAttentionPacked: qkv must be a tensor, got undefined');
    expect(() => (attentionReference as unknown as () => Tensor)()).toThrow('attentionReference: q must be a tensor, got undefined');
    const qkv = ones([1, 2, 12]);
    expect(() => loose.packed(qkv)).toThrow('flashAttentionPacked: numHeads must be an integer ≥ 1, got undefined');
    dispose([q, qkv]);
  });
});

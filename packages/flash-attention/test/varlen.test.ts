import { hasKernel, useDevice, valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { alibiSlopesFor, attentionReference, flashAttention, flashAttentionVarlen, type CuSeqlens, type FlashAttentionVarlenOptions } from '@evenkeel/flash-attention';
import { attention64, checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { add, concat, dispose, expandDims, pad, reshape, slice, square, squeeze, stack, sum, tensor, tensor1d, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { wasm } from '@evenkeel/wasm-kernels';
import { describe, expect, it } from 'vitest';
import { keepFactors } from './cases.ts';

type Case = {
  title: string; q: number[]; k: number[]; heads?: number; kvHeads?: number; headDim?: number;
  options?: Omit<FlashAttentionVarlenOptions, 'returnLse'>; slopes?: 'h' | 'bh';
};

/** Lengths of the sequences. */
const CASES: Case[] = [
  { title: 'one sequence', q: [7], k: [7], options: { causal: true } },
  { title: 'three sequences', q: [3, 1, 65], k: [3, 1, 65] },
  { title: 'causal, others keys than queries', q: [2, 5, 4], k: [5, 2, 4], options: { causal: true } },
  { title: 'a window and a scale', q: [9, 4, 12], k: [9, 6, 3], options: { window: [2, 1], scale: 0.3 } },
  { title: 'grouped heads, ALiBi', q: [5, 8], k: [6, 8], heads: 6, kvHeads: 2, slopes: 'h', options: { causal: true } },
  { title: 'one key head, ALiBi per sequence', q: [5, 3, 2], k: [4, 9, 2], heads: 3, kvHeads: 1, headDim: 5, slopes: 'bh' },
  { title: 'empty sequences', q: [0, 4, 0, 3, 2, 0], k: [0, 4, 2, 0, 3, 0], options: { causal: true }, slopes: 'bh' },
  { title: 'dropout', q: [5, 3, 7], k: [5, 6, 7], options: { dropout: 0.3, train: true, seed: 9, causal: true } },
  { title: 'everything', q: [6, 0, 9], k: [8, 2, 5], heads: 4, kvHeads: 2, slopes: 'h', options: { causal: true, window: [3, 0], dropout: 0.2, train: true, seed: 5 } },
];

const cumulate = (lengths: number[]): number[] => lengths.reduce<number[]>((all, length) => [...all, all.at(-1)! + length], [0]);
const total = (lengths: number[]): number => lengths.reduce((a, b) => a + b, 0);

type Made = {
  q: Tensor; k: Tensor; v: Tensor; cuQ: number[]; cuK: number[]; options: FlashAttentionVarlenOptions & { returnLse?: false }; slopes: Float32Array | undefined;
};

function make({ q, k, heads = 2, kvHeads = heads, headDim = 4, options, slopes }: Case): Made {
  const slopeValues = slopes && Float32Array.from({ length: slopes === 'h' ? heads : heads * q.length }, (_, i) => 2 ** -(1 + (i % 5)));
  return {
    q: randomTensor([total(q), heads, headDim], { seed: 1 }), k: randomTensor([total(k), kvHeads, headDim], { seed: 2 }), v: randomTensor([total(k), kvHeads, headDim], { seed: 3 }),
    cuQ: cumulate(q), cuK: cumulate(k), slopes: slopeValues,
    options: { ...options, ...(slopeValues && { alibiSlopes: tensor(slopeValues, slopes === 'h' ? [heads] : [q.length, heads]) }) },
  };
}

/** Each sequence by the oracle, one after another: out `n h d`, lse `h n`. */
function oracle(made: Made, values: { q: ArrayLike<number>; k: ArrayLike<number>; v: ArrayLike<number> }): { out: Float64Array; lse: Float64Array } {
  const { cuQ, cuK, options: { causal, window, scale, dropout = 0, seed = 0 }, slopes } = made;
  const [[N, H, D], [, G]] = [made.q.shape, made.k.shape] as [[number, number, number], [number, number]];
  const maxK = Math.max(1, ...cuK.slice(1).map((end, b) => end - cuK[b]!));
  const keep = keepFactors(Number(seed), dropout, H * N * maxK);
  const [out, lse] = [new Float64Array(N * H * D), new Float64Array(H * N)];
  cuQ.slice(1).forEach((end, b) => {
    const [start, T, S] = [cuQ[b]!, end - cuQ[b]!, cuK[b + 1]! - cuK[b]!];
    const part = (x: ArrayLike<number>, from: number, count: number, width: number) => Array.from({ length: count * width }, (_, i) => x[from * width + i]!);
    const own = attention64(part(values.q, start, T, H * D), part(values.k, cuK[b]!, S, G * D), part(values.v, cuK[b]!, S, G * D), {
      batchSize: 1, seqLen: T, kvLen: S, numHeads: H, numKvHeads: G, headDim: D, causal, window, scale,
      ...(slopes && { slopes: slopes.length === H ? slopes : slopes.slice(b * H, (b + 1) * H) }),
      keep: Float64Array.from({ length: H * T * S }, (_, i) => keep[(Math.floor(i / (T * S)) * N + start + (Math.floor(i / S) % T)) * maxK + (i % S)]!),
    });
    out.set(own.out, start * H * D);
    for (let h = 0; h < H; h++) lse.set(own.lse.subarray(h * T, (h + 1) * T), h * N + start);
  });
  return { out, lse };
}

const free = (made: Made, ...more: unknown[]): void => { dispose([made.q, made.k, made.v, made.options.alibiSlopes ?? [], more] as never); };

/** The boundaries as a caller may give them. */
const FORMS: [string, (made: Made) => { boundaries: [CuSeqlens, CuSeqlens]; more: { maxSeqlenQ?: number; maxSeqlenK?: number }; owned: Tensor[] }][] = [
  ['arrays', ({ cuQ, cuK }) => ({ boundaries: [cuQ, Int32Array.from(cuK)], more: {}, owned: [] })],
  ['tensors', ({ cuQ, cuK }) => {
    const owned = [tensor1d(cuQ, 'int32'), tensor1d(cuK, 'int32')] as [Tensor, Tensor];
    const longest = (cu: number[]) => Math.max(...cu.slice(1).map((end, b) => end - cu[b]!));
    return { boundaries: owned, more: { maxSeqlenQ: longest(cuQ), maxSeqlenK: longest(cuK) }, owned };
  }],
];

forEachBackend(() => {
  describe.each(FORMS)('boundaries as %s', (_, formOf) => {
    it.each(CASES)('flashAttentionVarlen(q, k, v) is the float64 oracle of each sequence: $title', async (each) => {
      const made = make(each);
      const { boundaries, more, owned } = formOf(made);
      const expected = oracle(made, { q: await made.q.data(), k: await made.k.data(), v: await made.v.data() });
      const alone = flashAttentionVarlen(made.q, made.k, made.v, ...boundaries, { ...made.options, ...more });
      const { out, lse } = flashAttentionVarlen(made.q, made.k, made.v, ...boundaries, { ...made.options, ...more, returnLse: true });
      expect([out.shape, lse.shape]).toEqual([made.q.shape, [made.q.shape[1], made.q.shape[0]]]);
      for (const y of [alone, out]) await expectClose(y, expected.out, { rtol: 1e-5, atol: 1e-5 });
      await expectClose(lse, expected.lse, { rtol: 1e-5, atol: 1e-5 });
      free(made, owned, alone, out, lse);
    });

    it.each(CASES)('the gradients of out, and of lse where it is finite, match finite differences: $title', async (each) => {
      const made = make({ ...each, q: each.q.map((length) => Math.min(length, 9)), k: each.k.map((length) => Math.min(length, 9)) });
      const { boundaries, more, owned } = formOf(made);
      const inputs = { q: made.q, k: made.k, v: made.v };
      await checkOpGrad<'q' | 'k' | 'v'>({
        op: (p) => flashAttentionVarlen(p.q, p.k, p.v, ...boundaries, { ...made.options, ...more }),
        oracle64: (p) => oracle(made, p).out, inputs, directions: 2,
      });
      if (oracle(made, { q: await made.q.data(), k: await made.k.data(), v: await made.v.data() }).lse.every(Number.isFinite)) {
        await checkOpGrad<'q' | 'k' | 'v'>({
          op: (p) => {
            const { out, lse } = flashAttentionVarlen(p.q, p.k, p.v, ...boundaries, { ...made.options, ...more, returnLse: true });
            return concat([reshape(out, [-1]), reshape(lse, [-1])]);
          },
          oracle64: (p) => { const { out, lse } = oracle(made, p); return Float64Array.from([...out, ...lse]); }, inputs, directions: 2,
        });
      }
      free(made, owned);
    });

    it('flashAttentionVarlen(q, k, v) frees all but its results, also in gradients', async () => {
      const made = make(CASES.at(-1)!);
      const { boundaries, more, owned } = formOf(made);
      await expectNoLeak(() => flashAttentionVarlen(made.q, made.k, made.v, ...boundaries, { ...made.options, ...more }));
      await expectNoLeak(() => valueAndGrad((p: { q: Tensor; k: Tensor }) => {
        const { out, lse } = flashAttentionVarlen(p.q, p.k, made.v, ...boundaries, { ...more, returnLse: true });
        return add(sum(out), sum(slice(lse, [0, 0], [2, 4])));
      }, { q: made.q, k: made.k }));
      free(made, owned);
    });
  });

  it('each sequence is, bit by bit, the attention of it alone', async () => {
    const lengths = [5, 65, 1, 20];
    const made = make({ title: '', q: lengths, k: lengths, heads: 4, kvHeads: 2 });
    const alibiSlopes = alibiSlopesFor(4);
    // A backend that has a kernel for one of the two only rounds differently in the other.
    const attention = hasKernel('evenkeel/attention') === hasKernel('evenkeel/attentionVarlen') ? flashAttention : attentionReference;
    const own = (x: Tensor, b: number) => tidy(() => expandDims(slice(x, [made.cuQ[b]!, 0, 0], [lengths[b]!, ...x.shape.slice(1)]), 0));
    for (const options of [{ causal: true }, { window: [3, 2] as const, alibiSlopes }]) {
      const packed = flashAttentionVarlen(made.q, made.k, made.v, made.cuQ, made.cuK, { ...options, returnLse: true });
      for (const b of lengths.keys()) {
        const [q, k, v, out] = [made.q, made.k, made.v, packed.out].map((x) => own(x, b)) as [Tensor, Tensor, Tensor, Tensor];
        const alone = attention(q, k, v, { ...options, returnLse: true });
        const lse = tidy(() => expandDims(slice(packed.lse, [0, made.cuQ[b]!], [4, lengths[b]!]), 0));
        await expectClose(out, alone.out, { rtol: 0, atol: 0 });
        await expectClose(lse, alone.lse, { rtol: 0, atol: 0 });
        dispose([q, k, v, out, alone, lse] as never);
      }
      dispose(packed);
    }
    free(made, alibiSlopes);
  });

  it('one sequence is flashAttention of it, its dropout included', async () => {
    const made = make({ title: '', q: [6], k: [9], heads: 4, kvHeads: 2 });
    const options = { dropout: 0.4, train: true, seed: 11, causal: true };
    const [q, k, v] = [made.q, made.k, made.v].map((x) => expandDims(x, 0)) as [Tensor, Tensor, Tensor];
    const [packed, batch] = [flashAttentionVarlen(made.q, made.k, made.v, made.cuQ, made.cuK, options), flashAttention(q, k, v, options)];
    const same = squeeze(batch, [0]);
    await expectClose(packed, same, { atol: 1e-6 });
    free(made, q, k, v, packed, batch, same);
  });

  it.each([1e3, NaN, Infinity])('what stands in one sequence (%d) never changes another: result and all gradients', async (value) => {
    const lengths = [4, 5, 3];
    const made = make({ title: '', q: lengths, k: lengths });
    const dy = randomTensor(made.q.shape as [number, number, number], { seed: 6 });
    const spoilt = async (x: Tensor) => {
      const values = Float32Array.from(await x.data());
      values.fill(value, 4 * 8, 4 * 8 + 20); // of the second sequence
      return tensor(values, x.shape);
    };
    const [q, k, v, dySpoilt] = await Promise.all([made.q, made.k, made.v, dy].map(spoilt)) as [Tensor, Tensor, Tensor, Tensor];
    const options = { causal: true, dropout: 0.2, train: true, seed: 1 };
    const before = vjp(() => flashAttentionVarlen(made.q, made.k, made.v, made.cuQ, made.cuK, options), [made.q, made.k, made.v], dy);
    const after = vjp(() => flashAttentionVarlen(q, k, v, made.cuQ, made.cuK, options), [q, k, v], dySpoilt);
    const others = async (x: Tensor) => (await x.data()).filter((_, i) => i < 4 * 8 || i >= 9 * 8);
    for (const [x, y] of [[after.value, before.value], ...after.grads.map((grad, i) => [grad, before.grads[i]!])] as [Tensor, Tensor][]) {
      await expectClose(await others(x), await others(y), { rtol: 0, atol: 0 });
      expect(Array.from(await x.data())).not.toEqual(Array.from(await y.data()));
    }
    free(made, dy, q, k, v, dySpoilt, before.value, before.grads, after.value, after.grads);
  });

  it('rows beyond the last number of a tensor give out 0 and lse +Infinity, and have no gradient', async () => {
    const made = make({ title: '', q: [3, 2], k: [3, 2] });
    const [longer, boundaries] = [randomTensor([7, 2, 4], { seed: 1 }), tensor1d([0, 3, 5], 'int32')];
    const more = { maxSeqlenQ: 3, maxSeqlenK: 3, causal: true, returnLse: true } as const;
    const { out, lse } = flashAttentionVarlen(longer, longer, longer, boundaries, boundaries, more);
    const first = slice(longer, [0, 0, 0], [5, 2, 4]);
    const expected = flashAttentionVarlen(first, first, first, made.cuQ, made.cuK, { causal: true });
    await expectClose((await out.data()).slice(0, 40), await expected.data(), { atol: 1e-6 });
    expect((await out.data()).slice(40)).toEqual(new Float32Array(16));
    expect((await lse.data()).map((x, i) => (i % 7 < 5 ? Number(Number.isFinite(x)) : x))).toEqual(Float32Array.from([1, 1, 1, 1, 1, Infinity, Infinity, 1, 1, 1, 1, 1, Infinity, Infinity]));
    const dy = randomTensor([7, 2, 4], { seed: 2 });
    const { value, grads } = vjp(() => flashAttentionVarlen(longer, longer, longer, boundaries, boundaries, { maxSeqlenQ: 3, maxSeqlenK: 3 }), [longer], dy);
    expect((await grads[0]!.data()).slice(40)).toEqual(new Float32Array(16));
    expect((await grads[0]!.data()).slice(0, 40).every((x) => x !== 0)).toBe(true);
    free(made, longer, boundaries, out, lse, first, expected, dy, value, grads);
  });

  it('the loss of a packed batch is that of a padded one, with its gradient', async () => {
    const lengths = [4, 2, 6];
    const made = make({ title: '', q: lengths, k: lengths });
    const padded = (x: Tensor) => tidy(() => stack(lengths.map((length, b) => pad(slice(x, [made.cuQ[b]!, 0, 0], [length, 2, 4]), [[0, 6 - length], [0, 0], [0, 0]]))));
    const unpadded = (x: Tensor) => concat(lengths.map((length, b) => reshape(slice(x, [b, 0, 0, 0], [1, length, 2, 4]), [length, 2, 4])), 0);
    const keyPaddingMask = tensor(lengths.flatMap((length) => Array.from({ length: 6 }, (_, s) => s < length)), [3, 6], 'bool');
    type P = { q: Tensor; k: Tensor; v: Tensor };
    const inputs: P = { q: made.q, k: made.k, v: made.v };
    const packed = valueAndGrad((p: P) => sum(square(flashAttentionVarlen(p.q, p.k, p.v, made.cuQ, made.cuK))), inputs);
    const batch = valueAndGrad((p: P) => sum(square(unpadded(flashAttention(padded(p.q), padded(p.k), padded(p.v), { keyPaddingMask })))), inputs);
    await expectClose(packed.value, batch.value, { rtol: 1e-5 });
    for (const name of ['q', 'k', 'v'] as const) await expectClose(packed.grads[name], batch.grads[name], { rtol: 1e-4, atol: 1e-5 });
    free(made, keyPaddingMask, packed, batch);
  });
});

describe('flashAttentionVarlen on WebAssembly, which can read the numbers in tensors', () => {
  it.each([
    [[1, 5], {}, 'cuSeqlensQ must start at 0, got 1'],
    [[0, 4, 3], {}, 'cuSeqlensQ must not decrease and end at the 5 rows at most, got 3 after 4'],
    [[0, 2, 6], {}, 'cuSeqlensQ must not decrease and end at the 5 rows at most, got 6 after 2'],
    [[0, 1, 5], { maxSeqlenQ: 3 }, 'cuSeqlensQ must have sequences of at most maxSeqlenQ = 3 rows, got 4'],
    [[0, 1, 5], { maxSeqlenK: 3 }, 'cuSeqlensK must have sequences of at most maxSeqlenK = 3 rows, got 4'],
  ])('says what is wrong with %j, %j', async (numbers, more, message) => {
    await useDevice('wasm', [wasm({ threads: 1 })]);
    const [x, boundaries] = [randomTensor([5, 2, 4], { seed: 1 }), tensor1d(numbers, 'int32')];
    await expectNoLeak(() => flashAttentionVarlen(x, x, x, boundaries, boundaries, { maxSeqlenQ: 9, maxSeqlenK: 9, ...more }), { throws: `flashAttentionVarlen: ${message}` });
    dispose([x, boundaries]);
  });
});

describe('flashAttentionVarlen', () => {
  const zeros = (shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const loose = flashAttentionVarlen as unknown as (...given: unknown[]) => Tensor;
  const check = (given: unknown[], message: string): Promise<void> => {
    const [q, k, v] = [zeros([5, 4, 2]), zeros([6, 2, 2]), zeros([6, 2, 2])];
    return expectNoLeak(() => loose(q, k, v, ...given), { throws: `flashAttentionVarlen: ${message}` }).finally(() => dispose([q, k, v]));
  };

  it.each([
    [[], 'cuSeqlensQ must be an array of integers or an int32 tensor, got undefined'],
    [[[0, 5]], 'cuSeqlensK must be an array of integers or an int32 tensor, got undefined'],
    [['05', [0, 6]], 'cuSeqlensQ must be an array of integers or an int32 tensor, got string'],
    [[[0], [0, 6]], 'cuSeqlensQ must have at least 2 numbers, got 1'],
    [[[1, 5], [0, 6]], 'cuSeqlensQ must start at 0, got 1'],
    [[[0, 4], [0, 6]], 'cuSeqlensQ must end at the 5 rows of q, got 4'],
    [[[0, 5], [0, 7]], 'cuSeqlensK must end at the 6 rows of k, got 7'],
    [[[0, 3, 2, 5], [0, 1, 2, 6]], 'cuSeqlensQ must not decrease, got 2 after 3'],
    [[[0, 2.5, 5], [0, 2, 6]], 'each of cuSeqlensQ must be an integer ≥ 0, got 2.5'],
    [[[0, 2, 5], [0, 6]], 'cuSeqlensK must have shape [3], got [2]'],
    [[[0, 5], [0, 6], { maxSeqlenK: 4 }], 'maxSeqlenK must be an integer ≥ 6, got 4'],
    [[[0, 5], [0, 6], { bias: 1 }], 'bias must be absent, got one. Use flashAttention on each sequence.'],
    [[[0, 5], [0, 6], { softcap: 3 }], 'softcap must be absent, got one. Use flashAttention on each sequence.'],
    [[[0, 5], [0, 6], { causal: 'no' }], 'causal must be true or false, got "no"'],
    [[[0, 5], [0, 6], { returnLse: 1 }], 'returnLse must be true or false, got 1'],
    [[[0, 5], [0, 6], { maxSeqLenQ: 5 }], 'options must be among scale, causal, window, alibiSlopes, dropout, train, seed, observe, returnLse, maxSeqlenQ, maxSeqlenK, got maxSeqLenQ'],
    [[[0, 5], [0, 6], { scale: -1 }], 'scale must be a positive number, got -1'],
    [[[0, 5], [0, 6], { dropout: 0.5, train: true }], 'seed must be given when dropout acts, got undefined'],
    [[[0, 5], [0, 6], { alibiSlopes: 3 }], 'alibiSlopes must be a tensor, got number'],
  ])('flashAttentionVarlen(q, k, v, …) says what is wrong: %#', (given, message) => check(given, message));

  it('flashAttentionVarlen(q, k, v, tensors) says what is wrong with them', async () => {
    const [floats, matrix, one, good, slopes] = [zeros([2]), tensor([[0, 5]], [1, 2], 'int32'), tensor1d([0], 'int32'), tensor1d([0, 5], 'int32'), zeros([2, 4])];
    await check([floats, good], 'cuSeqlensQ must have dtype int32, got float32');
    await check([matrix, good], 'cuSeqlensQ must have rank 1, got shape [1, 2]');
    await check([one, good], 'cuSeqlensQ must have at least 2 numbers, got 1');
    await check([good, good], 'maxSeqlenQ must be given where cuSeqlensQ is a tensor, got undefined');
    await check([good, good, { maxSeqlenQ: 5 }], 'maxSeqlenK must be given where cuSeqlensK is a tensor, got undefined');
    await check([good, good, { maxSeqlenQ: 0 }], 'maxSeqlenQ must be an integer ≥ 1, got 0');
    await check([[0, 5], [0, 6], { alibiSlopes: slopes }], 'alibiSlopes must have shape [1, 4], got [2, 4]');
    dispose([floats, matrix, one, good, slopes]);
  });

  it.each([
    [[[5, 4], [6, 2, 2], [6, 2, 2]], 'q must have rank 3, got shape [5, 4]'],
    [[[5, 4, 2], [6, 2, 3], [6, 2, 3]], 'k must have shape […, …, 2], got [6, 2, 3]'],
    [[[5, 4, 2], [6, 2, 2], [5, 2, 2]], 'v must have shape [6, 2, 2], got [5, 2, 2]'],
    [[[5, 4, 2], [6, 3, 2], [6, 3, 2]], 'k must have a number of heads that divides the 4 of q, got 3'],
    [[[0, 4, 2], [6, 2, 2], [6, 2, 2]], 'q must have at least one query, got 0'],
    [[[5, 4, 2], [0, 2, 2], [0, 2, 2]], 'k must have at least one key, got 0'],
  ])('flashAttentionVarlen of shapes %j says what is wrong', (shapes, message) => {
    const tensors = shapes.map(zeros);
    expect(() => loose(...tensors, [0, 5], [0, 6])).toThrow(`flashAttentionVarlen: ${message}`);
    expect(() => loose()).toThrow('flashAttentionVarlen: q must be a tensor, got undefined');
    dispose(tensors);
  });
});

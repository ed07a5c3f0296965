import { valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import { rotary, rotaryAttention, type KvCache, type RotaryOptions } from '@evenkeel/layers';
import { checkOpGrad, expectClose, expectNoLeak, forEachBackend, randomTensor } from '@evenkeel/testing';
import { concat, dispose, slice, sum, tensor, zeros, type Tensor } from '@tensorflow/tfjs-core';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { makeBlock, makeParams, nest } from './blockOracle.ts';

type Stored = { shape: number[]; values: number[] };
type Golden = { name: string; options: RotaryOptions; x: Stored; dy: Stored; y: Stored; dx: Stored };

/** Written by PyTorch; tools/golden/README.md says how. */
const { cases } = JSON.parse(readFileSync(new URL('./golden/rotary.json', import.meta.url), 'utf8')) as { cases: Golden[] };

const load = ({ shape, values }: Stored): Tensor => tensor(Float32Array.from(values), shape);

/** The formula, number by number, in float64. */
function rotary64(x: ArrayLike<number>, shape: readonly number[], { base = 10000, offset = 0, positions, interleaved = false, rotaryDim = shape[3]! }: RotaryOptions = {}): Float64Array {
  const [, T, H, D] = shape as [number, number, number, number];
  return Float64Array.from({ length: x.length }, (_, at) => {
    const [channel, token] = [at % D, Math.floor(at / (D * H))];
    if (channel >= rotaryDim) return x[at]!;
    const half = rotaryDim / 2;
    const [pair, second] = interleaved ? [channel >> 1, channel % 2] : [channel % half, Math.floor(channel / half)];
    const position = positions === undefined ? offset + (token % T) : positions[token % positions.length]!;
    const angle = position * base ** (-2 * pair / rotaryDim);
    const partner = x[at + (interleaved ? 1 : half) * (second === 0 ? 1 : -1)]!;
    return x[at]! * Math.cos(angle) + (second === 0 ? -partner : partner) * Math.sin(angle);
  });
}

const SHAPES = [[1, 1, 1, 2], [2, 3, 1, 6], [1, 65, 3, 10], [2, 13, 2, 16], [1, 3, 2, 130], [2, 0, 1, 4], [0, 2, 1, 4]];
const OPTIONS: RotaryOptions[] = [{}, { interleaved: true }, { offset: 5, base: 500 }, { rotaryDim: 2 }, { rotaryDim: 2, interleaved: true, offset: -3.5 }];

forEachBackend(() => {
  it.each(OPTIONS)('rotary(x, %j) agrees with the float64 oracle', async (options) => {
    for (const shape of SHAPES) {
      const x = randomTensor(shape as [number, number, number, number]);
      const y = rotary(x, options);
      expect([y.shape, y.dtype]).toEqual([shape, 'float32']);
      await expectClose(y, rotary64(await x.data(), shape, options), { rtol: 1e-6, atol: 1e-6 });
      dispose([x, y]);
    }
  });

  it.each(cases)("rotary(x) and its gradient match PyTorch's golden values: $name", async ({ options, x: storedX, dy: storedDy, y, dx }) => {
    const [x, dy] = [load(storedX), load(storedDy)];
    const { value, grads } = vjp(() => rotary(x, options), [x], dy);
    await expectClose(value, Float64Array.from(y.values), { rtol: 1e-6, atol: 1e-6 });
    await expectClose(grads[0]!, Float64Array.from(dx.values), { rtol: 1e-6, atol: 1e-6 });
    dispose([x, dy, value, grads]);
  });

  it('rotary(x) takes the positions of all sequences, or of each', async () => {
    const shape = [2, 3, 2, 4];
    const x = randomTensor(shape as [number, number, number, number]);
    const values = await x.data() as Float32Array;
    for (const positions of [[7, 0, 100_000], Int32Array.of(1, 2, 3, 0, 4, 100_000)]) {
      const y = rotary(x, { positions });
      await expectClose(y, rotary64(values, shape, { positions }), { rtol: 1e-6, atol: 1e-6 });
      dispose(y);
    }
    const [counted, given] = [rotary(x, { offset: 4 }), rotary(x, { positions: [4, 5, 6] })];
    await expectClose(counted, given, { rtol: 0, atol: 0 });
    dispose([x, counted, given]);
  });

  it('rotary(x) gives the same whichever positions were asked for before', async () => {
    for (const [T, offset] of [[3, 0], [9, 0], [4, 2], [2, 16], [2, 17], [40, 0], [3, 1_000_000]] as const) {
      const x = randomTensor([1, T, 1, 6]);
      const y = rotary(x, { offset, base: 777 });
      await expectClose(y, rotary64(await x.data(), x.shape, { offset, base: 777 }), { rtol: 1e-6, atol: 1e-6 });
      dispose([x, y]);
    }
  });

  it.each(OPTIONS)('the gradient of rotary(x, %j) matches finite differences', async (options) => {
    const x = randomTensor([2, 3, 2, 6]) as Tensor;
    await checkOpGrad<'x'>({ op: (p) => rotary(p.x, options), oracle64: (p) => rotary64(p.x, [2, 3, 2, 6], options), inputs: { x } });
    dispose(x);
  });

  it('a product of a query and a key depends on how far apart they are', async () => {
    const [q, k] = [randomTensor([1, 1, 1, 16]), randomTensor([1, 1, 1, 16], { seed: 2 })];
    const product = async (i: number, j: number) => {
      const [a, b] = [rotary(q, { offset: i }), rotary(k, { offset: j })];
      const [x, y] = [await a.data(), await b.data()];
      dispose([a, b]);
      return (x as Float32Array).reduce((total, each, at) => total + each * y[at]!, 0);
    };
    expect(await product(107, 100)).toBeCloseTo(await product(7, 0), 4);
    expect(await product(99_993, 100_000)).toBeCloseTo(await product(3, 10), 4);
    dispose([q, k]);
  });

  it('rotary(x) passes NaN on within its pair', async () => {
    const x = tensor([NaN, 1, 2, 3, 4, 5, 6, NaN], [1, 2, 1, 4]);
    const y = rotary(x);
    expect([...await y.data()].map(Number.isNaN)).toEqual([true, false, true, false, false, true, false, true]);
    dispose([x, y]);
  });

  it('rotary(x) adds one tensor and frees the rest, also on error and in gradients', async () => {
    const x = randomTensor([2, 3, 2, 4]) as Tensor;
    await expectNoLeak(() => rotary(x, { interleaved: true }));
    await expectNoLeak(() => rotary(x, { rotaryDim: 6 }), { throws: 'rotary: rotaryDim must be even and at most 4, got 6' });
    await expectNoLeak(() => valueAndGrad((p: { x: Tensor }) => sum(rotary(p.x)), { x }));
    await expectNoLeak(() => rotaryAttention(flashAttention)(x, x, x, {}));
    await expectNoLeak(() => rotaryAttention(() => { throw new Error('no'); })(x, x, x, {}), { throws: 'no' });
    dispose(x);
  });

  it('rotaryAttention(attention) attends to turned keys with turned queries, aligned at the end', async () => {
    const [q, k, v] = [randomTensor([1, 2, 4, 8]), randomTensor([1, 5, 2, 8], { seed: 2 }), randomTensor([1, 5, 2, 8], { seed: 3 })];
    const actual = rotaryAttention(flashAttention, { base: 100 })(q, k, v, { causal: true });
    const turned = [rotary(q, { base: 100, offset: 3 }), rotary(k, { base: 100 })] as const;
    const expected = flashAttention(...turned, v, { causal: true });
    await expectClose(actual, expected, { rtol: 0, atol: 0 });
    dispose([q, k, v, actual, [...turned], expected]);
  });

  it('a transformerBlock with rotaryAttention gives with a cache, piece by piece, what it gives at once', async () => {
    const block = makeBlock({ dim: 8, numHeads: 2, numKvHeads: 1, causal: true, placed: 'pre' }, { attention: rotaryAttention(flashAttention) });
    const flat = makeParams(block);
    const params = nest(block, flat);
    const x = randomTensor([2, 9, 8], { seed: 99 });
    const whole = block.apply(x, params);
    const pieces: Tensor[] = [];
    let cache: KvCache | null = null;
    for (const [start, length] of [[0, 4], [4, 1], [5, 4]] as const) {
      const piece = slice(x, [0, start, 0], [2, length, 8]);
      const next: { y: Tensor; cache: KvCache } = block.applyCached(piece, params, cache);
      dispose([piece, cache as never]);
      cache = next.cache;
      pieces.push(next.y);
    }
    const joined = concat(pieces, 1);
    await expectClose(joined, whole, { rtol: 1e-4, atol: 1e-5 });
    dispose([x, whole, joined, pieces, flat, cache as never]);
  });
});

describe('rotary', () => {
  it('rotary(x, options) says what it wants', () => {
    const [x, matrix, integers] = [zeros([2, 3, 1, 4]), zeros([3, 4]), zeros([2, 3, 1, 4], 'int32')];
    expect(() => rotary(matrix)).toThrow('rotary: x must have rank 4, got shape [3, 4]');
    expect(() => rotary(integers)).toThrow('rotary: x must have dtype float32, got int32');
    expect(() => rotary(x, { rotaryDim: 3 })).toThrow('rotary: rotaryDim must be even and at most 4, got 3');
    expect(() => rotary(x, { rotaryDim: 0 })).toThrow('rotary: rotaryDim must be an integer ≥ 2, got 0');
    expect(() => rotary(x, { base: 0 })).toThrow('rotary: base must be a positive number, got 0');
    expect(() => rotary(x, { offset: NaN })).toThrow('rotary: offset must be a finite number, got NaN');
    expect(() => rotary(x, { positions: [1, 2] })).toThrow('rotary: positions must have 3 numbers (t) or 6 (b·t), got 2');
    expect(() => rotary(x, { positions: [1, 2, 3], offset: 1 })).toThrow('rotary: positions must be given without offset, got both');
    expect(() => rotaryAttention(flashAttention, { rotaryDim: 3 })).toThrow('rotaryAttention: rotaryDim must be even, got 3');
    expect(() => rotaryAttention(flashAttention, { base: -1 })).toThrow('rotaryAttention: base must be a positive number, got -1');
    dispose([x, matrix, integers]);
  });
});

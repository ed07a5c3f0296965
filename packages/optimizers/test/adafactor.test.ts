import type { Variable } from '@tensorflow/tfjs-core';
import { adafactor, type AdafactorOptions } from '@evenkeel/optimizers';
import { expectClose, forEachBackend } from '@evenkeel/testing';
import { expect, it } from 'vitest';
import { blocks, expectSame, mean64, moment, norm64, run, run64, variablesOf, type Blocks, type Values64 } from './trajectory.ts';
import { free } from './helpers.ts';

const SHAPES = { matrix: [7, 13], thin: [2, 65], cube: [3, 5, 11], bias: [130], gain: [] };
const FACTORED: Record<string, [number, number]> = { matrix: [7, 13], cube: [15, 11] };
const rms64 = (x: Float64Array): number => norm64(x) / Math.sqrt(x.length);

/** Adafactor in float64, with the whole second moment where a block is not factored. */
function adafactor64(start: Blocks, grads: readonly Blocks[], options: Omit<AdafactorOptions, 'learningRate'> & { learningRate?: number }): Values64 {
  const { learningRate, relative = true, decayRate = 0.8, clipThreshold = 1, eps = 1e-30, minScale = 1e-3, weightDecay = 0 } = options;
  return run64(({ path, p, g, memory }, at) => {
    const fresh = (at + 1) ** -decayRate;
    const squares = g.map((value) => value ** 2 + eps);
    const average = (name: string, values: Float64Array) => {
      const kept = moment(memory, name, values.length);
      return kept.forEach((value, i) => { kept[i] = (1 - fresh) * value + fresh * values[i]!; }), kept;
    };
    const [rows, columns] = FACTORED[path] ?? [0, 0];
    const row = average('row', Float64Array.from({ length: rows }, (_, r) => mean64(squares.subarray(r * columns, (r + 1) * columns))));
    const column = average('column', Float64Array.from({ length: columns }, (_, c) => mean64(squares.filter((_value, i) => i % columns === c))));
    const whole = average('whole', squares);
    const u = g.map((value, i) => value / Math.sqrt(rows === 0 ? whole[i]! : (row[Math.floor(i / columns)]! * column[i % columns]!) / mean64(row)));
    const rate = learningRate ?? Math.min(1e-2, 1 / Math.sqrt(at + 1));
    const scale = (relative ? Math.max(minScale, rms64(p)) : 1) / Math.max(1, rms64(u) / clipThreshold);
    p.forEach((value, i) => { p[i]! -= rate * (scale * u[i]! + weightDecay * value); });
  }, start, grads);
}

forEachBackend(() => {
  it.each<[string, Omit<AdafactorOptions, 'learningRate'> & { learningRate?: number }]>([
    ['with its own relative steps', {}], ['with a learning rate of our own, clipping and decay', { learningRate: 0.3, relative: false, clipThreshold: 0.7, weightDecay: 0.2, decayRate: 0.5 }],
    ['with a large minimal scale', { learningRate: 0.1, minScale: 3, eps: 0.1 }],
  ])('adafactor() %s follows the algorithm in float64', async (_, options) => {
    const [start, grads] = [blocks(1, SHAPES), [2, 3, 4, 5, 6].map((seed) => blocks(seed, SHAPES))];
    await expectSame(await run(adafactor({ minDim: 4, ...options }), start, grads), adafactor64(start, grads, options), { rtol: 1e-5, atol: 3e-6 });
  });

  it('adafactor() divides by the exact root where the squares of the gradient are a product of rows and columns', async () => {
    const [rows, columns] = [[1, 10, 1e-3], [2, 1e3, 1, 5e-2]];
    const values = Float32Array.from(rows.flatMap((r, i) => columns.map((c, j) => (i + j) % 2 === 0 ? r * c : -r * c)));
    const zeros = { a: { shape: [3, 4], values: new Float32Array(12) } };
    const { a } = await run(adafactor({ learningRate: 1, relative: false, minDim: 1 }), zeros, [{ a: { shape: [3, 4], values } }]);
    await expectClose(Float32Array.from(a!), values.map((value) => -Math.sign(value)), { rtol: 1e-5 });
  });

  it('adafactor() stays finite for gradients of zeros and of the smallest numbers', async () => {
    const start = blocks(1, SHAPES);
    const tiny = Object.fromEntries(Object.entries(start).map(([path, block]) => [path, { ...block, values: block.values.map((_, i) => (i % 3 === 0 ? 1e-25 : 0)) }]));
    const result = await run(adafactor({ minDim: 4 }), start, [tiny, tiny]);
    expect(Object.values(result).flat().every(Number.isFinite)).toBe(true);
  });
});

it('adafactor({ minDim }).init(params) keeps rows plus columns of a matrix that is long enough on both sides, else all of it', () => {
  const params = variablesOf(blocks(1, { large: [20, 30], thin: [2, 500], cube: [4, 5, 40], bias: [7], gain: [] }));
  const { row, column } = adafactor({ minDim: 20 }).init(params) as unknown as { row: Record<string, Variable>; column: Record<string, Variable> };
  const lengths = Object.keys(params).map((path) => [row[path]!.size, column[path]!.size]);
  expect(lengths).toEqual([[20, 30], [1, 1000], [20, 40], [1, 7], [1, 1]]);
  free(params, row, column);
});

it('adafactor(options) out of range names the option', () => {
  expect(() => adafactor({ decayRate: 0 })).toThrow('adafactor: decayRate must be a positive number, got 0');
  expect(() => adafactor({ clipThreshold: -1 })).toThrow('adafactor: clipThreshold must be a positive number, got -1');
  expect(() => adafactor({ eps: 0 })).toThrow('adafactor: eps must be a positive number, got 0');
  expect(() => adafactor({ minScale: -1 })).toThrow('adafactor: minScale must be between 0');
  expect(() => adafactor({ minDim: 0.5 })).toThrow('adafactor: minDim must be an integer ≥ 1, got 0.5');
});

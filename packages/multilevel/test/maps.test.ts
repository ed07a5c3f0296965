import { tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import type { ParamSpec, Tree } from '@evenkeel/core-tensor';
import { coalesce, decoalesce, type MapOptions } from '@evenkeel/multilevel';
import { expectClose, expectNoLeak, forEachBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { averaging64, diagonal64, duplication64, free, identity64, product64, randomParams, rows, transposed, valuesOf, type Matrix } from './helpers.ts';

/** Every kind of parameter: a hand-made block of width `dim`, `heads` heads of 3 channels and `kv` of keys, in `depth` blocks. */
function specsOf({ dim, heads, kv = heads, hidden, depth }: { dim: number; heads: number; kv?: number; hidden: number; depth: number }): Tree<ParamSpec> {
  const [headDim, mixed, parts] = [3, heads * 3, [heads * 3, kv * 3, kv * 3]];
  const qkv = mixed + 2 * kv * 3;
  const blockOf = (block: number): Tree<ParamSpec> => ({
    gain: { shape: [dim], axes: 'dim', role: 'norm', block },
    qkv: { weight: { shape: [qkv, dim], axes: 'qkv dim', role: 'hidden', parts, headDim, block, fanIn: dim }, bias: { shape: [qkv], axes: 'qkv', role: 'bias', parts, headDim, block } },
    perHead: { shape: [3], axes: 'headDim', role: 'norm', block },
    proj: { weight: { shape: [dim, mixed], axes: 'dim heads', role: 'hidden', headDim, block, fanIn: mixed } },
    up: { weight: { shape: [hidden, dim], axes: 'hidden dim', role: 'hidden', block, fanIn: dim }, bias: { shape: [hidden], axes: 'hidden', role: 'bias', block } },
    down: { weight: { shape: [dim, hidden], axes: 'dim hidden', role: 'hidden', block, fanIn: hidden }, gamma: { shape: [], axes: '', role: 'scalar', block } },
  });
  return {
    tokens: { shape: [5, dim], axes: 'vocab dim', role: 'embedding' }, positions: { shape: [7, dim], axes: 'position dim', role: 'embedding' },
    blocks: Array.from({ length: depth }, (_, block) => blockOf(block)), head: { shape: [5, dim], axes: 'vocab dim', role: 'head', fanIn: dim },
  };
}

const small = specsOf({ dim: 6, heads: 2, hidden: 5, depth: 2 });
const large = specsOf({ dim: 12, heads: 4, hidden: 10, depth: 2 });

/** What `coalesce` must give for one block, from F and T alone. */
function coalesced64(values: Record<string, number[]>, block: number, { dim, heads, hidden, qkv }: Record<'dim' | 'heads' | 'hidden' | 'qkv', Matrix>): Record<string, number[]> {
  const of = (name: string, columns: number): Matrix => rows(values[`blocks.${block}.${name}`]!, columns);
  const map = (out: Matrix, weight: Matrix, into?: Matrix): number[] => product64(product64(out, weight), into === undefined ? identity64(weight[0]!.length) : duplication64(into)).flat();
  return {
    gain: map(dim, of('gain', 1)), 'qkv.weight': map(qkv, of('qkv.weight', dim[0]!.length), dim), 'qkv.bias': map(qkv, of('qkv.bias', 1)),
    perHead: values[`blocks.${block}.perHead`]!, 'proj.weight': map(dim, of('proj.weight', heads[0]!.length), heads),
    'up.weight': map(hidden, of('up.weight', dim[0]!.length), dim), 'up.bias': map(hidden, of('up.bias', 1)),
    'down.weight': map(dim, of('down.weight', hidden[0]!.length), hidden), 'down.gamma': values[`blocks.${block}.down.gamma`]!,
  };
}

forEachBackend(() => {
  describe.each(['stacked', 'adjacent'] as const)('with widthGrouping %s', (widthGrouping) => {
    it('coalesce averages outputs and sums inputs: F_out W T_in for every kind of parameter', async () => {
      const params = randomParams(large);
      const [values, merged] = [await valuesOf(params), coalesce(params, large, small, { widthGrouping })];
      const of = (m: number, n: number, unit = 1): Matrix => averaging64(m, n, widthGrouping, unit);
      const maps = { dim: of(12, 6), heads: of(12, 6, 3), hidden: of(10, 5), qkv: diagonal64(of(12, 6, 3), of(12, 6, 3), of(12, 6, 3)) };
      const actual = await valuesOf(merged);
      for (const block of [0, 1]) {
        for (const [name, expected] of Object.entries(coalesced64(values, block, maps))) {
          await expectClose(Float32Array.from(actual[`blocks.${block}.${name}`]!), Float32Array.from(expected), { rtol: 1e-6, atol: 1e-6 });
        }
      }
      const channels = (path: string, into: Matrix): Float32Array => Float32Array.from(product64(rows(values[path]!, 12), into).flat());
      await expectClose(Float32Array.from(actual.tokens!), channels('tokens', transposed(maps.dim)), { rtol: 1e-6, atol: 1e-6 });
      await expectClose(Float32Array.from(actual.positions!), channels('positions', transposed(maps.dim)), { rtol: 1e-6, atol: 1e-6 });
      await expectClose(Float32Array.from(actual.head!), channels('head', duplication64(maps.dim)), { rtol: 1e-6, atol: 1e-6 });
      free(params, merged);
    });

    it('coalesce(decoalesce(M)) is M, bit for bit, in width and in depth', async () => {
      for (const depthGrouping of ['stacked', 'adjacent'] as const) {
        const [options, deep] = [{ widthGrouping, depthGrouping }, specsOf({ dim: 12, heads: 4, hidden: 20, depth: 4 })];
        const params = randomParams(small, { seed: 2 });
        const grown = decoalesce(params, small, deep, options);
        const back = coalesce(grown, deep, small, options);
        expect(await valuesOf(back)).toEqual(await valuesOf(params));
        free(params, grown, back);
      }
    });
  });

  it('F T = I, T F is an idempotent of rank n, and the rows of F and T add up to 1, as the maps act on unit vectors', async () => {
    const vector = (size: number): Tree<ParamSpec> => ({ gain: { shape: [size], axes: 'dim', role: 'norm' } });
    const columnsOf = async (size: number, map: (x: { gain: Tensor }) => Tree<Tensor>): Promise<Matrix> => {
      const columns = identity64(size).map(async (unit) => {
        const x = { gain: tensor1d(unit) };
        const y = map(x);
        const values = (await valuesOf(y)).gain!;
        free(x, y);
        return values;
      });
      return transposed(await Promise.all(columns));
    };
    for (const [m, n, widthGrouping] of [[6, 3, 'stacked'], [6, 3, 'adjacent'], [12, 3, 'stacked'], [1, 1, 'stacked'], [130, 65, 'adjacent']] as const) {
      const F = await columnsOf(m, (x) => coalesce(x, vector(m), vector(n), { widthGrouping }));
      const T = await columnsOf(n, (x) => decoalesce(x, vector(n), vector(m), { widthGrouping }));
      const projector = product64(T, F);
      expect(F).toEqual(averaging64(m, n, widthGrouping));
      expect(T).toEqual(duplication64(F));
      expect(product64(F, T)).toEqual(identity64(n));
      expect(product64(projector, projector)).toEqual(projector);
      expect(projector.reduce((trace, row, i) => trace + row[i]!, 0)).toBe(n); // the rank of an idempotent is its trace
      for (const row of [...F, ...T]) expect(row.reduce((sum, each) => sum + each, 0)).toBe(1);
    }
  });

  it('depth groups are neighbours or every L2-th block, their parameters averaged', async () => {
    const deep = specsOf({ dim: 6, heads: 2, hidden: 5, depth: 4 });
    const params = randomParams(deep, { seed: 3 });
    const values = await valuesOf(params);
    for (const [depthGrouping, groups] of [['adjacent', [[0, 1], [2, 3]]], ['stacked', [[0, 2], [1, 3]]]] as const) {
      const merged = coalesce(params, deep, small, { depthGrouping });
      const actual = await valuesOf(merged);
      for (const [t, [a, b]] of groups.entries()) {
        const expected = values[`blocks.${a}.up.weight`]!.map((each, i) => Math.fround(Math.fround(each + values[`blocks.${b}.up.weight`]![i]!) / 2));
        expect(actual[`blocks.${t}.up.weight`]).toEqual(expected);
      }
      const grown = decoalesce(merged, small, deep, { depthGrouping });
      const copies = await valuesOf(grown);
      for (const [t, members] of groups.entries()) for (const l of members) expect(copies[`blocks.${l}.up.weight`]).toEqual(actual[`blocks.${t}.up.weight`]);
      free(merged, grown);
    }
    free(params);
  });

  it('MLP units may be grouped unevenly, and more than two units or blocks at once; the round trip is then right to rounding', async () => {
    const cases: [Tree<ParamSpec>, MapOptions][] = [
      [specsOf({ dim: 6, heads: 2, hidden: 7, depth: 2 }), {}], [specsOf({ dim: 18, heads: 6, hidden: 13, depth: 3 }), { widthGrouping: 'adjacent' }],
      [specsOf({ dim: 18, heads: 6, hidden: 15, depth: 6 }), { depthGrouping: 'stacked' }],
    ];
    for (const [wide, options] of cases) {
      const params = randomParams(small, { seed: 4 });
      const grown = decoalesce(params, small, wide, options);
      const back = coalesce(grown, wide, small, options);
      const [expected, actual] = [await valuesOf(params), await valuesOf(back)];
      for (const [path, values] of Object.entries(expected)) await expectClose(Float32Array.from(actual[path]!), Float32Array.from(values), { rtol: 3e-7, atol: 1e-9 });
      free(params, grown, back);
    }
  });

  it('coalesce and decoalesce leave what they are given alone and free what they make', async () => {
    const [params, tiny] = [randomParams(large), randomParams(small)];
    const before = await valuesOf(params);
    await expectNoLeak(() => coalesce(params, large, small));
    await expectNoLeak(() => decoalesce(tiny, small, large));
    await expectNoLeak(() => coalesce(tiny, large, small), { throws: 'coalesce: params.tokens must have shape [5, 12], got [5, 6]' });
    expect(await valuesOf(params)).toEqual(before);
    free(params, tiny);
  });
});

import { beforeAll, describe, expect, it } from 'vitest';
import { KERNELS } from '../src/kernels/index.ts';
import { tensorsOf } from './battery/draw.ts';
import { nameOf, ROWS, type Row } from './battery/rows.ts';
import { inputsOf, kernelOf, resultsOf, type Result } from './battery/run.ts';
import { testRows } from './battery/testRows.ts';
import { describeVariants, useWasm } from './variants.ts';

const named = ROWS.map((row) => [nameOf(row), row] as const);

describe('the battery', () => {
  it('has a row for every registered kernel', () => {
    expect(KERNELS.map(({ name }) => name).filter((name) => !ROWS.some(({ kernel }) => kernel === name))).toEqual([]);
    expect(new Set(named.map(([name]) => name)).size).toBe(ROWS.length);
  });
});

describeVariants(() => testRows(ROWS));

describe.each(['relaxed', 'plain'] as const)('with %s SIMD', (simd) => {
  const results: Result[][][] = [];

  beforeAll(async () => {
    for (const threads of [1, 2, 4]) {
      const backend = await useWasm({ threads, simd });
      const all: Result[][] = [];
      for (const row of ROWS) all.push(await resultsOf(row, row.large));
      results.push(all);
      backend.dispose();
    }
  });

  it.each(named)('%s is bit-identical on 1, 2 and 4 threads', (_, row) => {
    const [one, two, four] = results.map((all) => all[ROWS.indexOf(row)]);
    expect(one?.length).toBeGreaterThan(0);
    expect(two).toEqual(one);
    expect(four).toEqual(one);
  });
});

describe('on one thread', () => {
  beforeAll(async () => void await useWasm({ threads: 1 }));

  const firstForms = named.filter(([, row], i) => row.slowDenormals !== true && ROWS.findIndex(({ kernel }) => kernel === row.kernel) === i);
  it.each(firstForms)('%s takes at most three times as long for denormal inputs', (_, row) => {
    const [normal, denormal] = [timer(row, 1), timer(row, 1e-40)];
    let ratio = Infinity;
    for (let i = 0; i < 40 && !(i > 4 && ratio < 3); i++) ratio = denormal() / (normal() + 0.01); // ms
    expect(ratio).toBeLessThan(3);
  });
});

/** timer — runs the row at its large size; returns the shortest time so far, in ms. */
function timer(row: Row, std: number): () => number {
  const inputs = tensorsOf(inputsOf(row, row.large, { std }));
  const run = kernelOf(row, row.large);
  let best = Infinity;
  return () => {
    const start = performance.now();
    run(inputs).forEach((each) => each.dispose());
    return best = Math.min(best, performance.now() - start);
  };
}

import { expectNoLeak } from '@evenkeel/testing';
import { it } from 'vitest';
import { drawer, tensorsOf } from './draw.ts';
import { nameOf, type Row } from './rows.ts';
import { expectNonZero, expectSame, kernelOf } from './run.ts';

const SIZES = [0, 1, 3, 65, 130];

/** testRows — the tests that every kernel of every backend passes, on the backend that is selected. */
export function testRows(rows: readonly Row[]): void {
  const named = rows.map((row) => [nameOf(row), row] as const);

  it.each(named)('%s agrees with the reference for sizes 0, 1, 3, 65 and 130', async (_, row) => {
    for (const n of SIZES) await expectSame(row, n);
    if (row.isZero !== true) await expectNonZero(row, 65);
  });

  it.each(named)('%s passes NaN and infinities through as the reference does', async (_, row) => {
    for (let special = 0; special < Math.max(1, floatInputs(row)); special++) await expectSame(row, 21, { special });
  });

  it.each(named)('%s adds its results and frees the rest', async (_, row) => {
    const inputs = tensorsOf(row.inputs(drawer(), 65));
    await expectNoLeak(() => kernelOf(row, 65)(inputs));
  });
}

/** How many of the row's inputs are drawn as floats. */
function floatInputs(row: Row): number {
  let count = 0;
  const draw = drawer();
  row.inputs({ ...draw, floats: (...shape) => (count++, draw.floats(...shape)), positive: (...shape) => (count++, draw.positive(...shape)) }, 3);
  return count;
}

import { expect } from 'vitest';
import { comparisons, isNonZero } from './calls.ts';
import type { DrawOptions } from './draw.ts';
import type { Row } from './rows.ts';

/** expectSame — the kernel's results are the reference's, within the row's tolerance. */
export async function expectSame(row: Row, n: number, options?: DrawOptions): Promise<void> {
  const failures = (await comparisons(row, n, options)).flatMap(({ failure }) => failure ?? []);
  expect(failures.join('\n')).toBe('');
}

/** expectNonZero — every result of the reference has a number other than 0. */
export async function expectNonZero(row: Row, n: number): Promise<void> {
  expect(await isNonZero(row, n)).toBe(true);
}

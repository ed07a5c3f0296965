import { readValues, showShape, unflatten, type FlatValues, type Values } from './values.ts';
import { verdict } from './verdict.ts';

export type ExpectCloseOptions = {
  /** Allowed error relative to the expected value; default 1e-5. */
  rtol?: number;
  /** Allowed error in the unit of the values; default 1e-6. */
  atol?: number;
};

/**
 * expectClose — every |actual − expected| ≤ atol + rtol·|expected|.
 *
 * NaN equals only NaN and an infinity only itself. Shapes must agree; a typed array stands for any shape of its length.
 * Tensors are borrowed and read with `data()`, so the call must be awaited.
 */
export async function expectClose(actual: Values, expected: Values, options: ExpectCloseOptions = {}): Promise<void> {
  verdict(compare(await readValues(actual), await readValues(expected), options));
}

function compare(actual: FlatValues, expected: FlatValues, { rtol = 1e-5, atol = 1e-6 }: ExpectCloseOptions): string | undefined {
  if (!sameShape(actual, expected)) {
    return `expectClose: shapes differ, got ${showShape(actual)}, expected ${showShape(expected)}`;
  }
  let worst = -1;
  let worstExcess = 0;
  let wrong = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const excess = excessError(actual.data[i]!, expected.data[i]!, rtol, atol);
    if (excess <= 0) continue;
    wrong++;
    if (excess > worstExcess) [worst, worstExcess] = [i, excess];
  }
  if (wrong === 0) return undefined;
  const [got, want] = [actual.data[worst]!, expected.data[worst]!];
  const shape = actual.shape ?? expected.shape;
  return `expectClose: ${wrong} of ${expected.data.length} values differ by more than atol ${atol} + rtol ${rtol}·|expected|\n`
    + `  worst at ${unflatten(worst, shape)}: got ${got}, expected ${want} (difference ${Math.abs(got - want).toPrecision(3)})\n`
    + `  shapes: got ${showShape(actual)}, expected ${showShape(expected)}`;
}

/** How far beyond the tolerance a value is; Infinity where NaN or an infinity stands on one side only. */
function excessError(actual: number, expected: number, rtol: number, atol: number): number {
  if (Object.is(actual, expected) || actual === expected) return 0;
  if (!Number.isFinite(actual) || !Number.isFinite(expected)) return Infinity;
  return Math.abs(actual - expected) - (atol + rtol * Math.abs(expected));
}

function sameShape(a: FlatValues, b: FlatValues): boolean {
  if (a.shape === undefined || b.shape === undefined) return a.data.length === b.data.length;
  return a.shape.length === b.shape.length && a.shape.every((size, axis) => size === b.shape![axis]);
}

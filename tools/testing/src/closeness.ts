import { showShape, unflatten, type FlatValues } from './values.ts';

export type Tolerance = {
  /** Allowed error relative to the expected value; default 1e-5. */
  rtol?: number;
  /** Allowed error in the unit of the values; default 1e-6. */
  atol?: number;
};

/** Closeness — the largest error as a share of what is allowed, and if it is above 1 what to say about it. */
export type Closeness = { readonly share: number; readonly failure: string | undefined };

/** closenessOf — compares as `expectClose` does, outside of a test. */
export function closenessOf(actual: FlatValues, expected: FlatValues, { rtol = 1e-5, atol = 1e-6 }: Tolerance = {}): Closeness {
  if (!sameShape(actual, expected)) return { share: Infinity, failure: `shapes differ, got ${showShape(actual)}, expected ${showShape(expected)}` };
  let worst = 0;
  let share = 0;
  let wrong = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const each = shareOf(actual.data[i]!, expected.data[i]!, rtol, atol);
    if (each > 1) wrong++;
    if (each > share) [worst, share] = [i, each];
  }
  if (wrong === 0) return { share, failure: undefined };
  const [got, want] = [actual.data[worst]!, expected.data[worst]!];
  const failure = `${wrong} of ${expected.data.length} values differ by more than atol ${atol} + rtol ${rtol}·|expected|\n`
    + `  worst at ${unflatten(worst, actual.shape ?? expected.shape)}: got ${got}, expected ${want} (difference ${Math.abs(got - want).toPrecision(3)})\n`
    + `  shapes: got ${showShape(actual)}, expected ${showShape(expected)}`;
  return { share, failure };
}

/** A value's error as a share of its tolerance; Infinity where NaN or an infinity stands on one side only. */
function shareOf(actual: number, expected: number, rtol: number, atol: number): number {
  if (Object.is(actual, expected) || actual === expected) return 0;
  if (!Number.isFinite(actual) || !Number.isFinite(expected)) return Infinity;
  return Math.abs(actual - expected) / (atol + rtol * Math.abs(expected));
}

function sameShape(a: FlatValues, b: FlatValues): boolean {
  if (a.shape === undefined || b.shape === undefined) return a.data.length === b.data.length;
  return a.shape.length === b.shape.length && a.shape.every((size, axis) => size === b.shape![axis]);
}

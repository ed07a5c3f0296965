import { readValues, unflatten, type FlatValues, type Values } from './values.ts';
import { verdict } from './verdict.ts';

export type ExpectNoWorseThanOptions = {
  /** Absolute error always allowed, in the unit of the values; say in the test why it is what it is. */
  floor: number;
  /** How many times the composed op's largest error the fused op may reach; default 2. */
  factor?: number;
};

/**
 * expectNoWorseThan — a fused op is about as accurate as the composed one.
 *
 *     max|fused − oracle64| ≤ factor · max|composed − oracle64| + floor
 *
 * NaN and infinities must stand exactly where the oracle has them.
 */
export async function expectNoWorseThan(
  fused: Values, composed: Values, oracle64: Values, { floor, factor = 2 }: ExpectNoWorseThanOptions,
): Promise<void> {
  const oracle = await readValues(oracle64);
  const ours = worstError(await readValues(fused), oracle);
  const theirs = worstError(await readValues(composed), oracle);
  const allowed = factor * theirs.error + floor;
  if (ours.error <= allowed) return verdict(undefined);
  verdict(`expectNoWorseThan: fused error ${ours.error} must be at most ${allowed} (${factor} × the composed op's ${theirs.error} + floor ${floor})\n`
    + `  worst at ${unflatten(ours.index, oracle.shape)}: fused ${ours.value}, oracle ${oracle.data[ours.index]}`);
}

function worstError(values: FlatValues, oracle: FlatValues): { error: number; index: number; value: number } {
  if (values.data.length !== oracle.data.length) {
    throw new Error(`expectNoWorseThan: got ${values.data.length} values, the oracle has ${oracle.data.length}`);
  }
  let [error, index] = [0, 0];
  oracle.data.forEach((want, i) => {
    const got = values.data[i]!;
    const here = Object.is(got, want) || got === want ? 0 : Number.isFinite(got - want) ? Math.abs(got - want) : Infinity;
    if (here > error) [error, index] = [here, i];
  });
  return { error, index, value: values.data[index]! };
}

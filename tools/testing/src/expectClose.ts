import { closenessOf, type Tolerance } from './closeness.ts';
import { readValues, type Values } from './values.ts';
import { verdict } from './verdict.ts';

export type ExpectCloseOptions = Tolerance;

/**
 * expectClose — every |actual − expected| ≤ atol + rtol·|expected|.
 *
 * NaN equals only NaN and an infinity only itself. Shapes must agree; a typed array stands for any shape of its length.
 * Tensors are borrowed and read with `data()`, so the call must be awaited.
 */
export async function expectClose(actual: Values, expected: Values, options: ExpectCloseOptions = {}): Promise<void> {
  const { failure } = closenessOf(await readValues(actual), await readValues(expected), options);
  verdict(failure === undefined ? undefined : `expectClose: ${failure}`);
}

import { expectClose } from '@evenkeel/testing';
import { clone, dispose, engine, getBackend, setBackend, tidy, type NamedAttrMap, type NamedTensorMap, type Tensor } from '@tensorflow/tfjs-core';
import { expect } from 'vitest';
import { drawer, tensorsOf, type DrawOptions } from './draw.ts';
import { listOf, type Attrs } from './references.ts';
import { nameOf, type Row } from './rows.ts';

/** Result — one output of a kernel. */
export type Result = { readonly shape: readonly number[]; readonly dtype: string; readonly values: Float32Array };

const attrsOf = ({ attrs = {} }: Row, n: number): NamedAttrMap => ({ ...(typeof attrs === 'function' ? (attrs as (n: number) => object)(n) : attrs) });

/** kernelOf — the row's kernel as a function of its inputs; what it writes over comes after its results. */
export const kernelOf = (row: Row, n: number) => (inputs: NamedTensorMap) => {
  const given = '0' in inputs ? Object.values(inputs) as unknown as NamedTensorMap : inputs; // a list
  const results = [engine().runKernel(row.kernel, given, attrsOf(row, n))].flat() as Tensor[];
  return [...results, ...(row.writes ?? []).flatMap((list) => listOf(inputs, list).map((each) => clone(each)))];
};

/** once — `make`, whose results are kept by the row and the other arguments. */
function once<T>(make: (row: Row, n: number, options?: DrawOptions) => T): (row: Row, n: number, options?: DrawOptions) => T {
  const made = new Map<string, T>();
  return (row, n, options) => {
    const key = JSON.stringify([nameOf(row), n, options]);
    const value = made.get(key) ?? make(row, n, options);
    made.set(key, value);
    return value;
  };
}

/** inputsOf — the row's inputs of size `n`, drawn once. */
export const inputsOf = once((row, n, options) => row.inputs(drawer(options), n));

/** resultsOf — what the row's kernel, or another function of its inputs, gives on the backend that is selected. */
export async function resultsOf(row: Row, n: number, options?: DrawOptions, run = kernelOf(row, n)): Promise<Result[]> {
  const inputs = tensorsOf(inputsOf(row, n, options));
  const outputs = tidy(() => run(inputs));
  const results = await Promise.all(outputs.map(async (t) => ({ shape: t.shape, dtype: t.dtype, values: await t.data() as Float32Array })));
  dispose([inputs, outputs]);
  return results;
}

/** What the row's reference gives on tfjs' CPU backend. */
const expectedOf = once(async (row, n, options) => {
  const { reference } = row;
  const selected = getBackend();
  await setBackend('cpu');
  try {
    return await resultsOf(row, n, options, reference && ((inputs) => [reference(inputs, attrsOf(row, n) as unknown as Attrs)].flat()));
  } finally {
    await setBackend(selected);
  }
});

/** expectSame — the kernel's results are the reference's, within the row's tolerance. */
export async function expectSame(row: Row, n: number, options?: DrawOptions): Promise<void> {
  const expected = await expectedOf(row, n, options);
  const actual = await resultsOf(row, n, options);
  expect(actual.map(({ shape, dtype }) => ({ shape, dtype }))).toEqual(expected.map(({ shape, dtype }) => ({ shape, dtype })));
  for (const [i, { values }] of actual.entries()) {
    await expectClose(values, comparable(expected[i]?.values as Float32Array, values, row), { rtol: 3e-6, atol: 2e-6, ...row.tolerance, ...row.toleranceOn?.[getBackend()] });
  }
}

/** expectNonZero — every result of the reference has a number other than 0: on a GPU a kernel that never ran gives zeros. */
export async function expectNonZero(row: Row, n: number): Promise<void> {
  for (const { values } of await expectedOf(row, n)) expect(values.length === 0 || values.some((value) => value !== 0)).toBe(true);
}

/** What is expected, made to agree with what came out where the row does not care which. */
function comparable(expected: Float32Array, actual: Float32Array, { specials = 'same' }: Row): Float32Array {
  const free = (i: number): boolean => specials !== 'same' && !Number.isFinite(actual[i]) && (specials === 'spread' || !Number.isFinite(expected[i]));
  return expected.map((value, i) => (free(i) ? actual[i] as number : value));
}

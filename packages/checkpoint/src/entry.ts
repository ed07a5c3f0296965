import { ConfigError, UnsupportedError, describeShape } from '@evenkeel/core-tensor';
import { byteLengthOf, DTYPES, isDtype, type Dtype, type EntryData } from './dtypes.ts';
import { quoteName } from './text.ts';

/** SafetensorsEntry — one tensor as a file holds it: row-major raw elements. */
export type SafetensorsEntry = { readonly dtype: Dtype; readonly shape: readonly number[]; readonly data: EntryData };

/** Entries — tensors by name. Records made by this package have no prototype, so that `__proto__` is a name like any other. */
export type Entries = Readonly<Record<string, SafetensorsEntry>>;

/** emptyRecord — a record without a prototype. */
export function emptyRecord<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

/**
 * checkEntry — that dtype, shape and data of an entry belong together.
 *
 * @returns the raw bytes of the entry, a view.
 * @throws UnsupportedError  if the dtype is none of the format's; ConfigError if shape, array type or length do not fit it.
 */
export function checkEntry(fn: string, name: string, entry: SafetensorsEntry): Uint8Array {
  const { dtype, shape, data } = entry;
  if (!isDtype(dtype)) throw new UnsupportedError(`${fn}: dtype of ${quoteName(name)} must be one of the format, got ${quoteName(String(dtype))}`);
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new ConfigError(`${fn}: shape of ${quoteName(name)} must hold integers ≥ 0, got ${quoteName(String(shape))}`);
  }
  const expected = byteLengthOf(dtype, shape);
  const array = (data as { [Symbol.toStringTag]?: string } | undefined)?.[Symbol.toStringTag];
  const { arrayName } = DTYPES[dtype];
  if (array !== arrayName && !(dtype === 'F16' && array === 'Float16Array')) {
    throw new ConfigError(`${fn}: data of ${quoteName(name)} must be a ${arrayName} for ${dtype}, got ${array ?? typeof data}`);
  }
  if (data.byteLength !== expected) {
    const wanted = typeof expected === 'number' ? `${expected} bytes for ${dtype} ${describeShape(shape)}` : `a possible size, not ${expected}`;
    throw new ConfigError(`${fn}: data of ${quoteName(name)} must have ${wanted}, got ${data.byteLength} bytes`);
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Dtype — the element types of the safetensors format. */
export type Dtype =
  | 'BOOL' | 'U8' | 'I8' | 'F8_E5M2' | 'F8_E4M3' | 'F8_E8M0' | 'F8_E4M3FNUZ' | 'F8_E5M2FNUZ'
  | 'I16' | 'U16' | 'F16' | 'BF16' | 'I32' | 'U32' | 'F32' | 'C64' | 'F64' | 'I64' | 'U64'
  | 'F4' | 'F6_E2M3' | 'F6_E3M2';

/** EntryData — the raw elements of a tensor as a file holds them; see `DTYPES` for which array belongs to which dtype. */
export type EntryData =
  | Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array
  | Float32Array | Float64Array | BigInt64Array | BigUint64Array;

type ArrayType = {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): EntryData;
};

/** DtypeInfo — `bits` per tensor element; `array`, the typed array that holds the raw elements. */
export type DtypeInfo = { readonly bits: number; readonly array: ArrayType; readonly arrayName: string };

const info = (bits: number, array: ArrayType & { readonly name: string }): DtypeInfo => ({ bits, array, arrayName: array.name });

/**
 * DTYPES — every dtype, its width and its array.
 *
 * Types that JavaScript has no array for stay raw: F16 and BF16 are `Uint16Array`s of bit patterns, the 8-bit and narrower
 * floats are bytes (F4 and F6 packed), C64 is a `Float32Array` of real, imaginary, real, imaginary …
 */
export const DTYPES: Readonly<Record<Dtype, DtypeInfo>> = {
  BOOL: info(8, Uint8Array), U8: info(8, Uint8Array), I8: info(8, Int8Array),
  F8_E5M2: info(8, Uint8Array), F8_E4M3: info(8, Uint8Array), F8_E8M0: info(8, Uint8Array),
  F8_E4M3FNUZ: info(8, Uint8Array), F8_E5M2FNUZ: info(8, Uint8Array),
  I16: info(16, Int16Array), U16: info(16, Uint16Array), F16: info(16, Uint16Array), BF16: info(16, Uint16Array),
  I32: info(32, Int32Array), U32: info(32, Uint32Array), F32: info(32, Float32Array),
  C64: info(64, Float32Array), F64: info(64, Float64Array), I64: info(64, BigInt64Array), U64: info(64, BigUint64Array),
  F4: info(4, Uint8Array), F6_E2M3: info(6, Uint8Array), F6_E3M2: info(6, Uint8Array),
};

/** isDtype — whether `name` is a dtype of the format (an own key, so that `constructor` is none). */
export function isDtype(name: unknown): name is Dtype {
  return typeof name === 'string' && Object.hasOwn(DTYPES, name);
}

/**
 * byteLengthOf — bytes of a tensor of `shape`, or the reason why there is no such number.
 *
 * @returns the size in bytes, or a sentence: the product exceeds 2^53, or packed elements do not fill whole bytes.
 */
export function byteLengthOf(dtype: Dtype, shape: readonly number[]): number | string {
  const { bits } = DTYPES[dtype];
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    if (!Number.isSafeInteger(elements)) return 'a shape whose product overflows';
  }
  if (!Number.isSafeInteger(elements * bits)) return 'a shape whose product overflows';
  if ((elements * bits) % 8 !== 0) return `${elements} elements of ${bits} bits, which do not fill whole bytes`;
  return (elements * bits) / 8;
}

/** viewAs — `bytes` as the array of `dtype`: a view where `bytes` is aligned, otherwise a copy. */
export function viewAs(dtype: Dtype, bytes: Uint8Array): EntryData {
  const { array } = DTYPES[dtype];
  const aligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / array.BYTES_PER_ELEMENT);
}

import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import type { EntryData } from './dtypes.ts';
import type { SafetensorsEntry } from './entry.ts';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from './float16.ts';
import { quoteName } from './text.ts';

/** FloatDtype — the dtypes that float32 values can be saved as. */
export type FloatDtype = 'F32' | 'BF16' | 'F16' | 'F64';

/**
 * toFloat32 — the values of a floating-point entry as float32.
 *
 * F32 gives the entry's own array; BF16 and F16 widen exactly; F64 is rounded to nearest.
 *
 * @param name  stands in error messages.
 * @throws ConfigError       if a finite F64 value is beyond float32's range.
 * @throws UnsupportedError  if the dtype is not F32, BF16, F16 or F64.
 */
export function toFloat32({ dtype, data }: SafetensorsEntry, name = 'entry'): Float32Array {
  if (dtype === 'F32') return data as Float32Array;
  if (dtype === 'BF16') return bfloat16ToFloat32(data as Uint16Array);
  if (dtype === 'F16') return float16ToFloat32(data as Uint16Array);
  if (dtype === 'F64') {
    const values = Float32Array.from(data as Float64Array);
    checkFinite('toFloat32', name, data as Float64Array, values);
    return values;
  }
  throw new UnsupportedError(`toFloat32: dtype of ${quoteName(name)} must be F32, BF16, F16 or F64, got ${dtype}`);
}

/**
 * toInt32 — the values of an integer or boolean entry as int32.
 *
 * @throws ConfigError       if a value does not fit 32 bits with sign.
 * @throws UnsupportedError  if the dtype is not an integer or BOOL.
 */
export function toInt32({ dtype, data }: SafetensorsEntry, name = 'entry'): Int32Array {
  if (dtype === 'I32') return data as Int32Array;
  if (!/^(?:BOOL|[IU]\d+)$/.test(dtype)) {
    throw new UnsupportedError(`toInt32: dtype of ${quoteName(name)} must be an integer or BOOL, got ${dtype}`);
  }
  const out = new Int32Array(data.length);
  for (let i = 0; i < out.length; i++) {
    const value = data[i] as number | bigint;
    if (value < -0x80000000 || value > 0x7fffffff) {
      throw new ConfigError(`toInt32: values of ${quoteName(name)} must fit 32 bits with sign, got ${value} at ${i}`);
    }
    out[i] = Number(value);
  }
  return out;
}

/**
 * fromFloat32 — float32 values as the raw data of `dtype`, rounded to nearest, ties to even.
 *
 * @throws ConfigError  if a finite value would become infinite: F16 ends at 65504.
 */
export function fromFloat32(values: Float32Array, dtype: FloatDtype, name = 'values'): EntryData {
  if (dtype === 'F32') return values;
  if (dtype === 'F64') return Float64Array.from(values);
  const data = dtype === 'BF16' ? float32ToBfloat16(values) : float32ToFloat16(values);
  checkFinite(`fromFloat32 to ${dtype}`, name, values, dtype === 'BF16' ? bfloat16ToFloat32(data) : float16ToFloat32(data));
  return data;
}

function checkFinite(fn: string, name: string, before: Float32Array | Float64Array, after: Float32Array): void {
  const at = after.findIndex((value, i) => !Number.isFinite(value) && Number.isFinite(before[i]));
  if (at >= 0) throw new ConfigError(`${fn}: values of ${quoteName(name)} must be in range, got ${before[at]} at ${at}`);
}

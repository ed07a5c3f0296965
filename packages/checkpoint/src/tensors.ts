import { UnsupportedError } from '@evenkeel/core-tensor';
import { tensor, type Tensor } from '@tensorflow/tfjs-core';
import { fromFloat32, toFloat32, toInt32, type FloatDtype } from './convert.ts';
import { emptyRecord, type SafetensorsEntry } from './entry.ts';
import { quoteName } from './text.ts';

/** EntriesOptions — `dtype`: what float32 tensors are saved as (default F32, exact). */
export type EntriesOptions = { dtype?: FloatDtype };

/**
 * entriesFromTensors — reads tensors back from their device as entries for a file.
 *
 * @param tensors  any shapes; float32, int32 or bool. They stay alive.
 * @returns        copies: later steps of a training run do not change them. int32 becomes I32, bool BOOL.
 * @throws UnsupportedError  for other dtypes; ConfigError if a value does not fit `dtype`.
 */
export async function entriesFromTensors(
  tensors: Readonly<Record<string, Tensor>>,
  { dtype = 'F32' }: EntriesOptions = {},
): Promise<Record<string, SafetensorsEntry>> {
  const entries = emptyRecord<SafetensorsEntry>();
  for (const [name, x] of Object.entries(tensors)) entries[name] = await entryFromTensor(name, x, dtype);
  return entries;
}

async function entryFromTensor(name: string, x: Tensor, dtype: FloatDtype): Promise<SafetensorsEntry> {
  const shape = [...x.shape];
  switch (x.dtype) {
    case 'float32':
      return { dtype, shape, data: fromFloat32(Float32Array.from(await x.data<'float32'>()), dtype, name) };
    case 'int32':
      return { dtype: 'I32', shape, data: Int32Array.from(await x.data<'int32'>()) };
    case 'bool':
      return { dtype: 'BOOL', shape, data: Uint8Array.from(await x.data<'bool'>()) };
    default:
      throw new UnsupportedError(`entriesFromTensors: dtype of ${quoteName(name)} must be float32, int32 or bool, got ${x.dtype}`);
  }
}

/**
 * tensorFromEntry — one entry as a tensor on the current backend.
 *
 * Floating-point dtypes give float32, integers int32, BOOL bool.
 *
 * @param name  stands in error messages.
 * @returns     a tensor of the entry's shape that shares no memory with it; owned by the caller.
 * @throws ConfigError if a value does not fit float32 or int32; UnsupportedError for dtypes tfjs cannot hold.
 */
export function tensorFromEntry(entry: SafetensorsEntry, name = 'entry'): Tensor {
  const shape = [...entry.shape];
  if (entry.dtype === 'BOOL') return tensor(Uint8Array.from(toInt32(entry, name)), shape, 'bool');
  if (/^[IU]\d+$/.test(entry.dtype)) return tensor(own(toInt32(entry, name), entry), shape, 'int32');
  return tensor(own(toFloat32(entry, name), entry), shape, 'float32');
}

/** The tensor may keep the array it is made from, so the entry's own is copied. */
function own<T extends Float32Array | Int32Array>(values: T, entry: SafetensorsEntry): T {
  return values === entry.data ? (values.slice() as T) : values;
}

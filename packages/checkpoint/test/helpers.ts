import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Dtype, Entries, SafetensorsEntry } from '@evenkeel/checkpoint';
import { afterEach } from 'vitest';

/** A directory for one test, removed after it. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'evenkeel-checkpoint-'));
  cleanups.push(directory);
  return directory;
}

const cleanups: string[] = [];
afterEach(() => {
  for (const directory of cleanups.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A file from a header (text or value) and data, with nothing checked. */
export function rawFile(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

export const f32 = (shape: number[], ...values: number[]): SafetensorsEntry => ({ dtype: 'F32', shape, data: Float32Array.from(values) });

/** Raw bytes of an entry. */
export const bytesOf = ({ data }: SafetensorsEntry): number[] => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];

const bits16 = (...bits: number[]): Uint16Array => Uint16Array.from(bits);

/** One tensor of every dtype and of the odd shapes, with the values that conversions get wrong. */
export const everyDtype: Entries = {
  bool: { dtype: 'BOOL', shape: [3], data: Uint8Array.of(0, 1, 1) },
  u8: { dtype: 'U8', shape: [1, 3], data: Uint8Array.of(0, 128, 255) },
  i8: { dtype: 'I8', shape: [3], data: Int8Array.of(-128, 0, 127) },
  ...Object.fromEntries(
    (['F8_E5M2', 'F8_E4M3', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'] satisfies Dtype[])
      .map((dtype) => [dtype.toLowerCase(), { dtype, shape: [2], data: Uint8Array.of(0x7f, 0xff) }]),
  ),
  i16: { dtype: 'I16', shape: [2], data: Int16Array.of(-32768, 32767) },
  u16: { dtype: 'U16', shape: [1], data: bits16(65535) },
  f16: { dtype: 'F16', shape: [6], data: bits16(0x7e01, 0x7c00, 0xfc00, 0x0001, 0x83ff, 0x8000) },
  bf16: { dtype: 'BF16', shape: [7], data: bits16(0x7fc1, 0xffa0, 0x7f80, 0xff80, 0x0001, 0x807f, 0x8000) },
  i32: { dtype: 'I32', shape: [2], data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1) },
  u32: { dtype: 'U32', shape: [1], data: Uint32Array.of(2 ** 32 - 1) },
  f32: { dtype: 'F32', shape: [4], data: Float32Array.of(NaN, -Infinity, -0, 1e-45) },
  scalar: f32([], 3.5),
  empty: f32([2, 0]),
  c64: { dtype: 'C64', shape: [2], data: Float32Array.of(1, -1, 0.5, NaN) },
  f64: { dtype: 'F64', shape: [2], data: Float64Array.of(Math.PI, -5e-324) },
  i64: { dtype: 'I64', shape: [2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n) },
  u64: { dtype: 'U64', shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
  f4: { dtype: 'F4', shape: [2, 3], data: Uint8Array.of(1, 2, 3) },
  f6a: { dtype: 'F6_E2M3', shape: [4], data: Uint8Array.of(1, 2, 3) },
  f6b: { dtype: 'F6_E3M2', shape: [4], data: Uint8Array.of(4, 5, 6) },
  'ключ "quoted"\n🙂': f32([1], 1),
};

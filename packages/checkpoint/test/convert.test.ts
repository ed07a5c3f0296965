import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { fromFloat32, toFloat32, toInt32, type Dtype, type EntryData } from '@evenkeel/checkpoint';
import { describe, expect, it } from 'vitest';

const entry = (dtype: Dtype, data: EntryData) => ({ dtype, shape: [data.length], data });
const all16 = Uint16Array.from({ length: 65536 }, (_, i) => i);
const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0] as number;
const fromBits = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0] as number;

/** IEEE binary16 written from its definition, with exact float64 arithmetic. */
function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15, (bits >> 10) & 31, bits & 1023];
  const magnitude = exponent === 31 ? (fraction ? NaN : Infinity) : exponent === 0 ? (fraction / 1024) * 2 ** -14 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return sign ? -magnitude : magnitude;
}

describe('toFloat32', () => {
  it('toFloat32(F16) widens all 65536 bit patterns exactly', () => {
    const values = toFloat32(entry('F16', all16));
    expect(all16.every((bits, i) => Object.is(values[i], half(bits)))).toBe(true);
  });

  it('toFloat32(BF16) puts each bit pattern into the upper half of a float32', () => {
    const values = toFloat32(entry('BF16', all16));
    const bits = new Uint32Array(values.buffer);
    expect(all16.every((pattern, i) => bits[i] === pattern * 65536)).toBe(true);
  });

  it('toFloat32(F64) rounds to nearest, keeps NaN and Infinity, and refuses what overflows', () => {
    expect([...toFloat32(entry('F64', Float64Array.of(Math.PI, -Infinity, 1e-46, NaN)))]).toEqual([Math.fround(Math.PI), -Infinity, 0, NaN]);
    expect(() => toFloat32(entry('F64', Float64Array.of(1, -1e39)), 'w')).toThrow('toFloat32: values of "w" must be in range, got -1e+39 at 1');
  });

  it('toFloat32(I32) throws UnsupportedError', () => {
    expect(() => toFloat32(entry('I32', Int32Array.of(1)), 'ids')).toThrow(UnsupportedError);
    expect(() => toFloat32(entry('F8_E4M3', Uint8Array.of(1)), 'w')).toThrow('dtype of "w" must be F32, BF16, F16 or F64, got F8_E4M3');
  });
});

describe('fromFloat32', () => {
  it('fromFloat32(toFloat32(x)) gives every F16 and BF16 pattern back; NaN stays NaN', () => {
    for (const dtype of ['F16', 'BF16'] as const) {
      const widened = toFloat32(entry(dtype, all16));
      const back = fromFloat32(widened, dtype);
      const again = toFloat32(entry(dtype, back));
      const same = all16.every((bits, i) => (Number.isNaN(widened[i]) ? Number.isNaN(again[i]) : back[i] === bits));
      expect(same).toBe(true);
    }
  });

  it('fromFloat32 rounds to nearest, ties to even, between every two neighbouring finite F16 and BF16 values', () => {
    const lastFinite = { F16: 0x7bff, BF16: 0x7f7f };
    for (const dtype of ['F16', 'BF16'] as const) {
      const widened = toFloat32(entry(dtype, all16));
      const patterns = Uint16Array.from({ length: lastFinite[dtype] }, (_, i) => i);
      const middle = Float32Array.from(patterns, (i) => ((widened[i] as number) + (widened[i + 1] as number)) / 2);
      const below = Float32Array.from(middle, (value) => fromBits(bitsOf(value) - 1));
      const above = Float32Array.from(middle, (value) => fromBits(bitsOf(value) + 1));
      expect(fromFloat32(middle, dtype)).toEqual(patterns.map((i) => i + (i & 1)));
      expect(fromFloat32(below, dtype)).toEqual(patterns);
      expect(fromFloat32(above, dtype)).toEqual(patterns.map((i) => i + 1));
      const negative = fromFloat32(middle.map((value) => -value), dtype) as Uint16Array;
      expect(negative).toEqual(patterns.map((i) => (i + (i & 1)) | 0x8000));
    }
  });

  it('fromFloat32 keeps Infinity and refuses a finite value that would become infinite', () => {
    expect(fromFloat32(Float32Array.of(Infinity, -Infinity), 'F16')).toEqual(Uint16Array.of(0x7c00, 0xfc00));
    expect(fromFloat32(Float32Array.of(65519), 'F16')).toEqual(Uint16Array.of(0x7bff));
    expect(() => fromFloat32(Float32Array.of(0, 65520), 'F16', 'w')).toThrow('fromFloat32 to F16: values of "w" must be in range, got 65520 at 1');
    expect(() => fromFloat32(Float32Array.of(3.4e38), 'BF16', 'w')).toThrow(ConfigError);
  });

  it('fromFloat32 to F64 is exact', () => {
    expect(fromFloat32(Float32Array.of(0.1, NaN), 'F64')).toEqual(Float64Array.of(Math.fround(0.1), NaN));
  });
});

describe('toInt32', () => {
  it('toInt32 takes every integer dtype and BOOL', () => {
    expect(toInt32(entry('I64', BigInt64Array.of(-(2n ** 31n), 2n ** 31n - 1n)))).toEqual(Int32Array.of(-(2 ** 31), 2 ** 31 - 1));
    expect(toInt32(entry('U64', BigUint64Array.of(7n)))).toEqual(Int32Array.of(7));
    expect(toInt32(entry('U32', Uint32Array.of(2 ** 31 - 1)))).toEqual(Int32Array.of(2 ** 31 - 1));
    expect(toInt32(entry('I8', Int8Array.of(-128)))).toEqual(Int32Array.of(-128));
    expect(toInt32(entry('BOOL', Uint8Array.of(0, 1)))).toEqual(Int32Array.of(0, 1));
  });

  it('toInt32 refuses values beyond 32 bits and other dtypes', () => {
    expect(() => toInt32(entry('I64', BigInt64Array.of(0n, 2n ** 31n)), 'ids')).toThrow('toInt32: values of "ids" must fit 32 bits with sign, got 2147483648 at 1');
    expect(() => toInt32(entry('U32', Uint32Array.of(2 ** 31)))).toThrow(ConfigError);
    expect(() => toInt32(entry('F32', Float32Array.of(1)))).toThrow(UnsupportedError);
  });
});

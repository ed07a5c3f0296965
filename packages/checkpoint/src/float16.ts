/**
 * Half-width floats as bit patterns in `Uint16Array`s, to and from float32. Narrowing rounds to nearest, ties to even, and
 * keeps NaN a (quiet) NaN; widening is exact.
 */

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** bfloat16ToFloat32 — the upper half of a float32: `bits << 16`. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = (bits[i] as number) << 16;
  return new Float32Array(out.buffer);
}

/** float32ToBfloat16 — `(x + 0x7fff + ((x >> 16) & 1)) >> 16` on the bit patterns. */
export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i] as number;
    const isNaN = (x & 0x7fffffff) > 0x7f800000;
    out[i] = isNaN ? (x >>> 16) | 0x0040 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return out;
}

/** float16ToFloat32 — IEEE binary16, subnormals included. */
export function float16ToFloat32(bits: Uint16Array): Float32Array {
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = halfToNumber(bits[i] as number);
  return out;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** float32ToFloat16 — IEEE binary16; beyond 65504 (rounded) it is Infinity. */
export function float32ToFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = numberToHalf(values[i] as number);
  return out;
}

function numberToHalf(value: number): number {
  scratch[0] = value;
  const bits = scratchBits[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // at least 65520: rounds to Infinity
  if (magnitude >= 0x38800000) return sign | (roundEven(magnitude, 13) - 0x1c000); // normal: exponent 127 becomes 15
  if (magnitude < 0x33000000) return sign; // below half the smallest subnormal
  const significand = (magnitude & 0x7fffff) | 0x800000;
  return sign | roundEven(significand, 126 - (magnitude >>> 23));
}

/** `x >> shift`, rounded to nearest, ties to even. */
function roundEven(x: number, shift: number): number {
  return (x + 2 ** (shift - 1) - 1 + ((x >>> shift) & 1)) >>> shift;
}

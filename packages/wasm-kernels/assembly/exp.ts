// The exponential and sums over vectors.
import { loadSplat, madd, splat } from './simd';

// Read from memory, not written as constants: the engine builds a vector constant anew at each use, with up to four instructions.
const TABLE: usize = memory.data<f32>([
  -87.3365447505531, 88.72283172607422, 1.44269504088896341, 12582912, -0.693359375, 2.12194440e-4,
  1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1, Infinity,
]);

// @ts-ignore: decorator
@inline
function constant(index: usize): v128 {
  return loadSplat(TABLE, index << 2);
}

/**
 * exp — eˣ on four lanes, within 2 ulp; 0 below −87.3, +∞ above 88.7, NaN stays NaN.
 * Cody–Waite reduction to |r| ≤ ln 2 / 2 and the degree-6 polynomial of Cephes' expf.
 */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  const lowest = constant(0), highest = constant(1);
  const bounded = f32x4.pmin(highest, f32x4.pmax(lowest, x)); // pmin and pmax are one instruction each; a NaN is restored below
  // Adding 1.5 · 2²³ rounds to a whole number, which then stands in the lowest bits.
  const shifted = f32x4.add(f32x4.mul(bounded, constant(2)), constant(3));
  const n = f32x4.sub(shifted, constant(3));
  let r = madd(n, constant(4), bounded);
  r = madd(n, constant(5), r);
  let p = madd(constant(6), r, constant(7));
  p = madd(p, r, constant(8));
  p = madd(p, r, constant(9));
  p = madd(p, r, constant(10));
  p = madd(p, r, constant(11));
  const y = f32x4.add(madd(p, f32x4.mul(r, r), r), constant(12));
  // n is added to the exponent of y. Up to the largest x whose eˣ is finite it may be 128, where y is below 1, and −126, where y is at least 1: both stay in range.
  const scaled = i32x4.add(y, i32x4.shl(shifted, 23));
  const large = v128.bitselect(constant(13), scaled, f32x4.gt(x, highest));
  const small = v128.andnot(large, f32x4.lt(x, lowest));
  return v128.bitselect(small, x, f32x4.eq(x, x));
}

/** exp1 — eˣ of one number, the same as a lane of `exp`. */
// @ts-ignore: decorator
@inline
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp(splat(x)), 0);
}

/** sumLanes — the sum of the four lanes, in a fixed order. */
// @ts-ignore: decorator
@inline
export function sumLanes(x: v128): f32 {
  const pairs = f32x4.add(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** maxLanes — the largest of the four lanes. */
// @ts-ignore: decorator
@inline
export function maxLanes(x: v128): f32 {
  const pairs = f32x4.max(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1));
  return max(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

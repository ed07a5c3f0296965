// The exponential and sums over vectors.
import { constant, madd, splat } from './simd';

/** Bounds of x, log₂ e, 1.5 · 2²³, −ln 2 in two parts, coefficients from the highest power down, 1, what lies above the upper bound. */
const TABLE: usize = memory.data<f32>([
  -87.3365447505531, 88.72283172607422, 1.44269504088896341, 12582912, -0.693359375, 2.12194440e-4,
  1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1, Infinity,
]);

/**
 * exp — eˣ on four lanes, within 2 ulp; 0 below −87.3, +∞ above 88.7, NaN stays NaN.
 * Cody–Waite reduction to |r| ≤ ln 2 / 2 and the degree-6 polynomial of Cephes' expf.
 */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  const lowest = constant(TABLE, 0), highest = constant(TABLE, 1);
  const bounded = f32x4.pmin(highest, f32x4.pmax(lowest, x)); // pmin and pmax are one instruction each; a NaN is restored below
  // Adding 1.5 · 2²³ rounds to a whole number, which then stands in the lowest bits.
  const shifted = f32x4.add(f32x4.mul(bounded, constant(TABLE, 2)), constant(TABLE, 3));
  const n = f32x4.sub(shifted, constant(TABLE, 3));
  let r = madd(n, constant(TABLE, 4), bounded);
  r = madd(n, constant(TABLE, 5), r);
  let p = madd(constant(TABLE, 6), r, constant(TABLE, 7));
  p = madd(p, r, constant(TABLE, 8));
  p = madd(p, r, constant(TABLE, 9));
  p = madd(p, r, constant(TABLE, 10));
  p = madd(p, r, constant(TABLE, 11));
  const y = f32x4.add(madd(p, f32x4.mul(r, r), r), constant(TABLE, 12));
  // n is added to the exponent of y. It is at most 128, and then y is below 1, and at least −126, and then y is at least 1: both stay
  // in range, because the bounds of x are those between which eˣ is finite and normal.
  const scaled = i32x4.add(y, i32x4.shl(shifted, 23));
  const large = v128.bitselect(constant(TABLE, 13), scaled, f32x4.gt(x, highest));
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

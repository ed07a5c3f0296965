// The exponential and sums over vectors.
import { madd, splat } from './simd';

/**
 * exp — eˣ on four lanes, within 2 ulp; 0 below −87.3, +∞ above 88.7, NaN stays NaN.
 * Cody–Waite reduction to |r| ≤ ln 2 / 2 and the degree-6 polynomial of Cephes' expf.
 */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  const bounded = f32x4.min(f32x4.max(x, splat(-87.3365447505531)), splat(88.7228391116729));
  const n = f32x4.nearest(f32x4.mul(bounded, splat(1.44269504088896341)));
  let r = madd(n, splat(-0.693359375), bounded);
  r = madd(n, splat(2.12194440e-4), r);
  let p = madd(splat(1.9875691500e-4), r, splat(1.3981999507e-3));
  p = madd(p, r, splat(8.3334519073e-3));
  p = madd(p, r, splat(4.1665795894e-2));
  p = madd(p, r, splat(1.6666665459e-1));
  p = madd(p, r, splat(5.0000001201e-1));
  const y = f32x4.add(madd(p, f32x4.mul(r, r), r), splat(1));
  // 2ⁿ in two factors: n reaches 128, which is no exponent of a finite number.
  const whole = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  const scaled = f32x4.mul(f32x4.mul(y, powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
  const large = v128.bitselect(splat(Infinity), scaled, f32x4.gt(x, splat(88.7228391116729)));
  const small = v128.andnot(large, f32x4.lt(x, splat(-87.3365447505531)));
  return v128.bitselect(small, x, f32x4.eq(x, x));
}

// @ts-ignore: decorator
@inline
function powerOfTwo(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
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

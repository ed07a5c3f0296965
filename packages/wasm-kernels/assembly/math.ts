// Elementary functions on four lanes.
import { madd, splat } from './simd';

/**
 * erf — error function, four lanes; within 3 ulp for |x| < 4, ±1 beyond; NaN stays NaN.
 * Rational minimax approximation x·P(x²)/Q(x²) with the coefficients published in Eigen (MPL 2.0).
 */
// @ts-ignore: decorator
@inline
export function erf(x: v128): v128 {
  const z = f32x4.max(splat(-4), f32x4.min(splat(4), x));
  const s = f32x4.mul(z, z);
  let p = madd(s, splat(-2.72614225801306e-10), splat(2.77068142495902e-8));
  p = madd(s, p, splat(-2.10102402082508e-6));
  p = madd(s, p, splat(-5.69250639462346e-5));
  p = madd(s, p, splat(-7.34990630326855e-4));
  p = madd(s, p, splat(-2.95459980854025e-3));
  p = madd(s, p, splat(-1.60960333262415e-2));
  let q = madd(s, splat(-1.45660718464996e-5), splat(-2.13374055278905e-4));
  q = madd(s, q, splat(-1.68282697438203e-3));
  q = madd(s, q, splat(-7.37332916720468e-3));
  q = madd(s, q, splat(-1.42647390514189e-2));
  const r = f32x4.div(f32x4.mul(z, p), q);
  return f32x4.max(splat(-1), f32x4.min(splat(1), saturate(x, r, 4)));
}

/**
 * tanh — hyperbolic tangent, four lanes; within 4 ulp for |x| < 9, ±1 beyond; NaN stays NaN.
 * Rational minimax approximation with the coefficients published in Eigen (MPL 2.0).
 */
// @ts-ignore: decorator
@inline
export function tanh(x: v128): v128 {
  const z = f32x4.max(splat(-9), f32x4.min(splat(9), x));
  const s = f32x4.mul(z, z);
  let p = madd(s, splat(-2.76076847742355e-16), splat(2.00018790482477e-13));
  p = madd(s, p, splat(-8.60467152213735e-11));
  p = madd(s, p, splat(5.12229709037114e-8));
  p = madd(s, p, splat(1.48572235717979e-5));
  p = madd(s, p, splat(6.37261928875436e-4));
  p = madd(s, p, splat(4.89352455891786e-3));
  let q = madd(s, splat(1.19825839466702e-6), splat(1.18534705686654e-4));
  q = madd(s, q, splat(2.268434632439e-3));
  q = madd(s, q, splat(4.89352518554385e-3));
  return saturate(x, f32x4.div(f32x4.mul(z, p), q), 9);
}

/** saturate — `y` where |x| < limit or x is NaN, else the sign of x. */
// @ts-ignore: decorator
@inline
function saturate(x: v128, y: v128, limit: f32): v128 {
  const sign = v128.or(v128.and(x, splat(-0.0)), splat(1));
  return v128.bitselect(sign, y, f32x4.ge(f32x4.abs(x), splat(limit)));
}

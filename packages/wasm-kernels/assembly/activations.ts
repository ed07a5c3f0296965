// Activations in parts, so that one and its derivative share the costly part: f(x) = product(x, share(x, e)), f'(x) = slope(x, share, e),
// with e = density(x). Functions of F are compiled once per activation.
import { exp } from './exp';
import { normalCdf } from './math';
import { constant, madd, splat } from './simd';

/** 1, −1/2, 1/√(2π); 2√(2/π), the coefficient of x³ and three times that; the bound beyond which sigmoid(2u) is 0 or 1. */
const TABLE: usize = memory.data<f32>([1, -0.5, 0.3989422804014327, 1.5957691216057308, 0.044715, 0.134145, 20, -20]);

export class Sigmoid {}
export class Relu {}
export class Gelu {}
export class GeluTanh {}
export class Silu {}

/** sigmoid4 — 1 / (1 + e⁻ˣ), four lanes. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  return f32x4.div(constant(TABLE, 0), f32x4.add(constant(TABLE, 0), exp(f32x4.neg(x))));
}

/** f(x). */
// @ts-ignore: decorator
@inline
export function activated<F>(x: v128): v128 {
  return product<F>(x, share<F>(x, density<F>(x)));
}

/** e^(−x²/2), for the exact GELU alone. */
// @ts-ignore: decorator
@inline
export function density<F>(x: v128): v128 {
  if (idof<F>() == idof<Gelu>()) return exp(f32x4.mul(constant(TABLE, 1), f32x4.mul(x, x)));
  return x;
}

/** How much of x passes: Φ(x), sigmoid(2u) or sigmoid(x). */
// @ts-ignore: decorator
@inline
export function share<F>(x: v128, e: v128): v128 {
  if (idof<F>() == idof<Relu>()) return x;
  if (idof<F>() == idof<Gelu>()) return normalCdf(x, e);
  if (idof<F>() == idof<GeluTanh>()) {
    const b = bounded(x);
    return sigmoid4(f32x4.mul(f32x4.mul(constant(TABLE, 3), b), madd(constant(TABLE, 4), f32x4.mul(b, b), constant(TABLE, 0))));
  }
  return sigmoid4(x);
}

/** f(x), from its share. */
// @ts-ignore: decorator
@inline
export function product<F>(x: v128, p: v128): v128 {
  if (idof<F>() == idof<Sigmoid>()) return p;
  if (idof<F>() == idof<Relu>()) return f32x4.max(x, splat(0));
  return f32x4.mul(x, p);
}

/** f'(x). */
// @ts-ignore: decorator
@inline
export function slope<F>(x: v128, p: v128, e: v128): v128 {
  if (idof<F>() == idof<Sigmoid>()) return f32x4.mul(p, f32x4.sub(constant(TABLE, 0), p));
  if (idof<F>() == idof<Relu>()) return v128.bitselect(v128.and(f32x4.gt(x, splat(0)), constant(TABLE, 0)), x, f32x4.eq(x, x)); // a NaN stays
  if (idof<F>() == idof<Gelu>()) return madd(f32x4.mul(x, constant(TABLE, 2)), e, p);
  if (idof<F>() == idof<GeluTanh>()) {
    const b = bounded(x);
    const inner = f32x4.mul(constant(TABLE, 3), madd(constant(TABLE, 5), f32x4.mul(b, b), constant(TABLE, 0)));
    return madd(f32x4.mul(f32x4.mul(b, inner), p), f32x4.sub(constant(TABLE, 0), p), p);
  }
  return madd(f32x4.mul(x, p), f32x4.sub(constant(TABLE, 0), p), p);
}

/** x within ±20, beyond which sigmoid(2u) is 0 or 1 and x³ may overflow; in this order a NaN stays. */
// @ts-ignore: decorator
@inline
function bounded(x: v128): v128 {
  return f32x4.pmax(f32x4.pmin(x, constant(TABLE, 6)), constant(TABLE, 7));
}

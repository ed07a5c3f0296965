// SiLU, and the gradients of GELU and SiLU.
import { intArg, pointerArg } from './args';
import { exp } from './exp';
import { normalCdf } from './math';
import { constant, madd } from './simd';

const CHUNK: i32 = 16384;

/** 1, −1/2, 1/√(2π); 2√(2/π), the coefficient of x³ and three times that; the bound beyond which the derivative is 0 or 1. */
const TABLE: usize = memory.data<f32>([1, -0.5, 0.3989422804014327, 1.5957691216057308, 0.044715, 0.134145, 20, -20]);

const GELU_ERF: i32 = 0;
const GELU_TANH: i32 = 1;
const SILU: i32 = 2;

/** silu — one chunk of x · sigmoid(x). args: 0 x, 1 y, 2 size. */
export function silu(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 2) - first);
  let x = pointerArg(args, 0) + (<usize>first << 2);
  let y = pointerArg(args, 1) + (<usize>first << 2);
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16, y += 16) v128.store(y, silu4(v128.load(x)));
  for (; i < count; i++, x += 4, y += 4) store<f32>(y, f32x4.extract_lane(silu4(v128.load_splat<f32>(x)), 0));
}

/** activationGrad — one chunk of dx = dy · f'(x). args: 0 x, 1 dy, 2 dx, 3 size, 4 f (0 GELU by erf, 1 by tanh, 2 SiLU). */
export function activationGrad(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 3) - first);
  let x = pointerArg(args, 0) + (<usize>first << 2);
  let dy = pointerArg(args, 1) + (<usize>first << 2);
  let dx = pointerArg(args, 2) + (<usize>first << 2);
  const kind = intArg(args, 4);
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16, dy += 16, dx += 16) {
    v128.store(dx, f32x4.mul(v128.load(dy), derivative(v128.load(x), kind)));
  }
  for (; i < count; i++, x += 4, dy += 4, dx += 4) {
    store<f32>(dx, load<f32>(dy) * f32x4.extract_lane(derivative(v128.load_splat<f32>(x), kind), 0));
  }
}

/** sigmoid — 1 / (1 + e⁻ˣ), four lanes. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  return f32x4.div(constant(TABLE, 0), f32x4.add(constant(TABLE, 0), exp(f32x4.neg(x))));
}

// @ts-ignore: decorator
@inline
export function silu4(x: v128): v128 {
  return f32x4.mul(x, sigmoid4(x));
}

function derivative(x: v128, kind: i32): v128 {
  if (kind == GELU_TANH) return geluTanhDerivative(x);
  if (kind == SILU) {
    const s = sigmoid4(x);
    return madd(f32x4.mul(x, s), f32x4.sub(constant(TABLE, 0), s), s);
  }
  // Φ(x) + x·φ(x)
  const e = exp(f32x4.mul(constant(TABLE, 1), f32x4.mul(x, x)));
  return madd(f32x4.mul(x, constant(TABLE, 2)), e, normalCdf(x, e));
}

/** s + x·2u′·s(1 − s) with s = sigmoid(2u); beyond ±20, where s is 0 or 1 and x³ may overflow, as at ±20. */
// @ts-ignore: decorator
@inline
function geluTanhDerivative(unbounded: v128): v128 {
  const x = f32x4.pmax(f32x4.pmin(unbounded, constant(TABLE, 6)), constant(TABLE, 7)); // in this order a NaN stays
  const square = f32x4.mul(x, x);
  const s = sigmoid4(f32x4.mul(f32x4.mul(constant(TABLE, 3), x), madd(constant(TABLE, 4), square, constant(TABLE, 0))));
  const slope = f32x4.mul(constant(TABLE, 3), madd(constant(TABLE, 5), square, constant(TABLE, 0)));
  return madd(f32x4.mul(f32x4.mul(x, slope), s), f32x4.sub(constant(TABLE, 0), s), s);
}

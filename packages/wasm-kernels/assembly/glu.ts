// Gated linear units: y = f(gate) · value, and the gradients in both.
import { sigmoid4 } from './activationGrad';
import { intArg, pointerArg } from './args';
import { exp } from './exp';
import { normalCdf } from './math';
import { madd, splat } from './simd';

const CHUNK: i32 = 16384;

/** glu — one chunk. args: 0 gate, 1 value, 2 y, 3 size, 4 f (order of GATES in src/kernels/glu.ts). */
export function glu(chunk: i32, args: usize, scratch: usize): void {
  const f = intArg(args, 4);
  if (f == 0) forward<Sigmoid>(chunk, args);
  else if (f == 1) forward<Relu>(chunk, args);
  else if (f == 2) forward<Gelu>(chunk, args);
  else if (f == 3) forward<GeluTanh>(chunk, args);
  else forward<Silu>(chunk, args);
}

/**
 * gluGrad — one chunk of dgate = dy · value · f'(gate) and dvalue = dy · f(gate).
 * args: 0 gate, 1 value, 2 dy, 3 dgate, 4 dvalue, 5 size, 6 f (as for glu).
 */
export function gluGrad(chunk: i32, args: usize, scratch: usize): void {
  const f = intArg(args, 6);
  if (f == 0) backward<Sigmoid>(chunk, args);
  else if (f == 1) backward<Relu>(chunk, args);
  else if (f == 2) backward<Gelu>(chunk, args);
  else if (f == 3) backward<GeluTanh>(chunk, args);
  else backward<Silu>(chunk, args);
}

// Names for the activations: forward<F> and backward<F> are compiled once per F.
class Sigmoid {}
class Relu {}
class Gelu {}
class GeluTanh {}
class Silu {}

function forward<F>(chunk: i32, args: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 3) - first);
  const start = <usize>first << 2;
  let gate = pointerArg(args, 0) + start, value = pointerArg(args, 1) + start, y = pointerArg(args, 2) + start;
  let i = 0;
  for (; i + 4 <= count; i += 4, gate += 16, value += 16, y += 16) v128.store(y, f32x4.mul(activated<F>(v128.load(gate)), v128.load(value)));
  for (; i < count; i++, gate += 4, value += 4, y += 4) {
    store<f32>(y, f32x4.extract_lane(activated<F>(v128.load_splat<f32>(gate)), 0) * load<f32>(value));
  }
}

function backward<F>(chunk: i32, args: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 5) - first);
  const start = <usize>first << 2;
  let gate = pointerArg(args, 0) + start, value = pointerArg(args, 1) + start, dy = pointerArg(args, 2) + start;
  let dgate = pointerArg(args, 3) + start, dvalue = pointerArg(args, 4) + start;
  let i = 0;
  for (; i + 4 <= count; i += 4, gate += 16, value += 16, dy += 16, dgate += 16, dvalue += 16) {
    const x = v128.load(gate), g = v128.load(dy);
    const e = density<F>(x), p = share<F>(x, e);
    v128.store(dgate, f32x4.mul(f32x4.mul(g, v128.load(value)), slope<F>(x, p, e)));
    v128.store(dvalue, f32x4.mul(g, product<F>(x, p)));
  }
  for (; i < count; i++, gate += 4, value += 4, dy += 4, dgate += 4, dvalue += 4) {
    const x = v128.load_splat<f32>(gate), g = load<f32>(dy);
    const e = density<F>(x), p = share<F>(x, e);
    store<f32>(dgate, g * load<f32>(value) * f32x4.extract_lane(slope<F>(x, p, e), 0));
    store<f32>(dvalue, g * f32x4.extract_lane(product<F>(x, p), 0));
  }
}

// An activation in parts, so that it and its derivative share the costly one.

// @ts-ignore: decorator
@inline
function activated<F>(x: v128): v128 {
  return product<F>(x, share<F>(x, density<F>(x)));
}

/** e^(−x²/2), for the exact GELU alone. */
// @ts-ignore: decorator
@inline
function density<F>(x: v128): v128 {
  if (idof<F>() == idof<Gelu>()) return exp(f32x4.mul(splat(-0.5), f32x4.mul(x, x)));
  return x;
}

/** How much of x passes: Φ(x), sigmoid(2u) or sigmoid(x). */
// @ts-ignore: decorator
@inline
function share<F>(x: v128, e: v128): v128 {
  if (idof<F>() == idof<Relu>()) return x;
  if (idof<F>() == idof<Gelu>()) return normalCdf(x, e);
  if (idof<F>() == idof<GeluTanh>()) {
    const b = bounded(x);
    return sigmoid4(f32x4.mul(f32x4.mul(splat(1.5957691216057308), b), madd(splat(0.044715), f32x4.mul(b, b), splat(1))));
  }
  return sigmoid4(x);
}

/** f(x). */
// @ts-ignore: decorator
@inline
function product<F>(x: v128, p: v128): v128 {
  if (idof<F>() == idof<Sigmoid>()) return p;
  if (idof<F>() == idof<Relu>()) return f32x4.max(x, splat(0));
  return f32x4.mul(x, p);
}

/** f'(x). */
// @ts-ignore: decorator
@inline
function slope<F>(x: v128, p: v128, e: v128): v128 {
  if (idof<F>() == idof<Sigmoid>()) return f32x4.mul(p, f32x4.sub(splat(1), p));
  if (idof<F>() == idof<Relu>()) return v128.bitselect(v128.and(f32x4.gt(x, splat(0)), splat(1)), x, f32x4.eq(x, x)); // a NaN stays
  if (idof<F>() == idof<Gelu>()) return madd(f32x4.mul(x, splat(0.3989422804014327)), e, p);
  if (idof<F>() == idof<GeluTanh>()) {
    const b = bounded(x);
    const inner = f32x4.mul(splat(1.5957691216057308), madd(splat(0.134145), f32x4.mul(b, b), splat(1)));
    return madd(f32x4.mul(f32x4.mul(b, inner), p), f32x4.sub(splat(1), p), p);
  }
  return madd(f32x4.mul(x, p), f32x4.sub(splat(1), p), p);
}

/** x within ±20, beyond which sigmoid(2u) is 0 or 1 and x³ may overflow; in this order a NaN stays. */
// @ts-ignore: decorator
@inline
function bounded(x: v128): v128 {
  return f32x4.pmax(f32x4.pmin(x, splat(20)), splat(-20));
}

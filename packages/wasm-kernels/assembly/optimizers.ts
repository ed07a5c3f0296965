// Kernels over lists of tensors, for optimizers: all parameters in one job. The first argument is the table of `chunkTable`
// (src/kernels/lists.ts), one row per chunk: u32 addresses, i32 count, f32 number of the tensor.
import { floatArg, intArg, pointerArg } from './args';
import { squaresOf } from './norm';
import { loadSplat, madd, splat } from './simd';

// @ts-ignore: decorator
@inline
function address(row: usize, list: usize): usize {
  return <usize>load<u32>(row + (list << 2));
}

/**
 * adamw — one chunk of AdamW (arXiv:1711.05101): mu and nu are brought up to date in place,
 * update = −lr · ((mu/c1) / (√(nu/c2) + eps) + decay · param); where decay is 0 the parameter does not matter, be it NaN.
 * args: 0 table (param, grad, mu, nu, update; decay), 1 −lr, 2 beta1, 3 1 − beta1, 4 beta2, 5 1 − beta2, 6 eps, 7 1/c1, 8 1/c2.
 */
export function adamw(chunk: i32, args: usize, scratch: usize): void {
  const row = pointerArg(args, 0) + <usize>chunk * 28;
  let param = address(row, 0), grad = address(row, 1), mu = address(row, 2), nu = address(row, 3), update = address(row, 4);
  const count = load<i32>(row, 20);
  const decay = loadSplat(row, 24);
  const vectors = count >> 2;
  adamwVectors(param, grad, mu, nu, update, vectors, decay, args);
  const rest = <usize>(count & 3) << 2;
  if (rest == 0) return;
  // The last one to three elements, as a vector of their own.
  const done = <usize>vectors << 4;
  param += done, grad += done, mu += done, nu += done, update += done;
  memory.fill(scratch, 0, 64);
  memory.copy(scratch, param, rest);
  memory.copy(scratch + 16, grad, rest);
  memory.copy(scratch + 32, mu, rest);
  memory.copy(scratch + 48, nu, rest);
  adamwVectors(scratch, scratch + 16, scratch + 32, scratch + 48, scratch + 64, 1, decay, args);
  memory.copy(mu, scratch + 32, rest);
  memory.copy(nu, scratch + 48, rest);
  memory.copy(update, scratch + 64, rest);
}

function adamwVectors(param: usize, grad: usize, mu: usize, nu: usize, update: usize, vectors: i32, decay: v128, args: usize): void {
  const rate = splat(floatArg(args, 1)), eps = splat(floatArg(args, 6));
  const beta1 = splat(floatArg(args, 2)), rest1 = splat(floatArg(args, 3)), scale1 = splat(floatArg(args, 7));
  const beta2 = splat(floatArg(args, 4)), rest2 = splat(floatArg(args, 5)), scale2 = splat(floatArg(args, 8));
  const decays = f32x4.ne(decay, splat(0));
  for (let at: usize = 0; vectors > 0; vectors--, at += 16) {
    const g = v128.load(grad + at);
    const m = withoutDenormals(madd(beta1, v128.load(mu + at), f32x4.mul(rest1, g)));
    const n = withoutDenormals(madd(beta2, v128.load(nu + at), f32x4.mul(rest2, f32x4.mul(g, g))));
    const root = f32x4.add(f32x4.sqrt(f32x4.mul(n, scale2)), eps);
    const direction = f32x4.div(f32x4.mul(m, scale1), root);
    v128.store(mu + at, m);
    v128.store(nu + at, n);
    v128.store(update + at, f32x4.mul(rate, madd(decay, v128.and(v128.load(param + at), decays), direction)));
  }
}

/**
 * withoutDenormals — 0 for numbers below 2⁻¹²⁶. The moments of a parameter without gradient (a token that never comes) decay to
 * such numbers and, because 0.9 times a few units in the last place rounds to as many, would stay there, where arithmetic on them
 * takes fifty times as long.
 */
// @ts-ignore: decorator
@inline
function withoutDenormals(x: v128): v128 {
  return v128.andnot(x, i32x4.eq(v128.and(x, i32x4.splat(0x7f800000)), i32x4.splat(0)));
}

/**
 * scaledSums — one chunk of out = factor · a · x + b · y; y is not read where b is 0. `out` may be x.
 * args: 0 table (x, y, out; b), 1 a, 2 factor (address of one float; 0: 1).
 */
export function scaledSums(chunk: i32, args: usize, scratch: usize): void {
  const row = pointerArg(args, 0) + <usize>chunk * 20;
  let x = address(row, 0), y = address(row, 1), out = address(row, 2);
  const count = load<i32>(row, 12);
  const b = load<f32>(row, 16);
  const factor = pointerArg(args, 2);
  const a: f32 = factor == 0 ? floatArg(args, 1) : floatArg(args, 1) * load<f32>(factor);
  const a4 = splat(a), b4 = splat(b);
  let i = 0;
  if (b == 0) {
    for (; i + 4 <= count; i += 4, x += 16, out += 16) v128.store(out, f32x4.mul(a4, v128.load(x)));
    for (; i < count; i++, x += 4, out += 4) store<f32>(out, a * load<f32>(x));
    return;
  }
  for (; i + 4 <= count; i += 4, x += 16, y += 16, out += 16) v128.store(out, madd(a4, v128.load(x), f32x4.mul(b4, v128.load(y))));
  for (; i < count; i++, x += 4, y += 4, out += 4) {
    v128.store_lane<f32>(out, madd(a4, loadSplat(x), f32x4.mul(b4, loadSplat(y))), 0);
  }
}

/** squares — the sum of squares of one chunk. args: 0 table (x), 1 sums, one float per chunk. */
export function squares(chunk: i32, args: usize, scratch: usize): void {
  const row = pointerArg(args, 0) + <usize>chunk * 12;
  store<f32>(pointerArg(args, 1) + (<usize>chunk << 2), squaresOf(address(row, 0), load<i32>(row, 4), 0));
}

/** rootOfSum — the root of a sum, in one chunk; Infinity where the sum overflows f32. args: 0 x, 1 count, 2 result. */
export function rootOfSum(chunk: i32, args: usize, scratch: usize): void {
  const count = intArg(args, 1);
  let sum: f64 = 0;
  for (let i = 0; i < count; i++) sum += <f64>load<f32>(pointerArg(args, 0) + (<usize>i << 2));
  store<f32>(pointerArg(args, 2), sqrt(<f32>sum));
}

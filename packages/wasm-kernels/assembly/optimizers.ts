// Kernels over lists of tensors, for optimizers: all parameters in one job. The first argument is the table of `chunkTable`
// (src/kernels/lists.ts), one row per chunk: u32 addresses, i32 count, f32 numbers of the tensor.
import { floatArg, intArg, pointerArg } from './args';
import { loadSplat, madd, splat } from './simd';

// @ts-ignore: decorator
@inline
export function address(row: usize, list: usize): usize {
  return <usize>load<u32>(row + (list << 2));
}

/** numberOf — the number of the tensor whose index stands at `index` of its row, in the array at `numbers`; `otherwise` if there is none (0). */
export function numberOf(numbers: usize, index: usize, otherwise: f32): f32 {
  return numbers == 0 ? otherwise : load<f32>(numbers + (<usize>load<f32>(index) << 2));
}

/**
 * adamw — one chunk of AdamW (arXiv:1711.05101): mu and nu are brought up to date in place,
 * update = −lr · scale · ((mu/c1) / (√(nu/c2) + eps) + decay · param); where decay is 0 the parameter does not matter, be it NaN.
 * args: 0 table (param, grad, mu, nu, update; decay, scale), 1 −lr, 2 beta1, 3 1 − beta1, 4 beta2, 5 1 − beta2, 6 eps, 7 1/c1, 8 1/c2.
 */
export function adamw(chunk: i32, args: usize, scratch: usize): void {
  const row = pointerArg(args, 0) + <usize>chunk * 32;
  let param = address(row, 0), grad = address(row, 1), mu = address(row, 2), nu = address(row, 3), update = address(row, 4);
  const count = load<i32>(row, 20);
  const decay = loadSplat(row, 24);
  const rate = splat(floatArg(args, 1) * load<f32>(row, 28));
  const vectors = count >> 2;
  adamwVectors(param, grad, mu, nu, update, vectors, rate, decay, args);
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
  adamwVectors(scratch, scratch + 16, scratch + 32, scratch + 48, scratch + 64, 1, rate, decay, args);
  memory.copy(mu, scratch + 32, rest);
  memory.copy(nu, scratch + 48, rest);
  memory.copy(update, scratch + 64, rest);
}

function adamwVectors(param: usize, grad: usize, mu: usize, nu: usize, update: usize, vectors: i32, rate: v128, decay: v128, args: usize): void {
  const eps = splat(floatArg(args, 6));
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
export function withoutDenormals(x: v128): v128 {
  return v128.andnot(x, i32x4.eq(v128.and(x, i32x4.splat(0x7f800000)), i32x4.splat(0)));
}

/**
 * scaledSums — one chunk of out = factor · a · x + b · y; y is not read where b is 0. `out` may be x.
 * args: 0 table (x, y, out; b, a, index), 1 a of all tensors, 2 factors (0: none), 3 how many: one for all or one per tensor,
 * 4 b of all tensors.
 */
export function scaledSums(chunk: i32, args: usize, scratch: usize): void {
  const row = pointerArg(args, 0) + <usize>chunk * 28;
  let x = address(row, 0), y = address(row, 1), out = address(row, 2);
  const count = load<i32>(row, 12);
  const b: f32 = floatArg(args, 4) * load<f32>(row, 16);
  const factors = pointerArg(args, 2);
  const factor: f32 = intArg(args, 3) > 1 ? numberOf(factors, row + 24, 1) : factors == 0 ? 1 : load<f32>(factors);
  const a: f32 = floatArg(args, 1) * load<f32>(row, 20) * factor;
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

// AdamW (arXiv:1711.05101), one pass over parameter, gradient and both moments.
import { floatArg, intArg, pointerArg } from './args';
import { madd, splat } from './simd';

const CHUNK: i32 = 16384;

/**
 * adamw — one chunk. update = −lr · ((mu'/c1) / (√(nu'/c2) + eps) + decay · param).
 * args: 0 param, 1 grad, 2 mu, 3 nu, 4 update, 5 mu', 6 nu', 7 size, 8 lr, 9 beta1, 10 beta2, 11 eps, 12 decay, 13 c1, 14 c2,
 * 15 1 − beta1, 16 1 − beta2.
 */
export function adamw(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 7) - first);
  const start = <usize>first << 2;
  const param = pointerArg(args, 0) + start, grad = pointerArg(args, 1) + start;
  const mu = pointerArg(args, 2) + start, nu = pointerArg(args, 3) + start;
  const update = pointerArg(args, 4) + start, newMu = pointerArg(args, 5) + start, newNu = pointerArg(args, 6) + start;
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = <usize>i << 2;
    const g = v128.load(grad + at);
    const m = withoutDenormals(madd(splat(floatArg(args, 9)), v128.load(mu + at), f32x4.mul(splat(floatArg(args, 15)), g)));
    const n = withoutDenormals(madd(splat(floatArg(args, 10)), v128.load(nu + at), f32x4.mul(splat(floatArg(args, 16)), f32x4.mul(g, g))));
    v128.store(newMu + at, m);
    v128.store(newNu + at, n);
    v128.store(update + at, step(v128.load(param + at), m, n, args));
  }
  for (; i < count; i++) {
    const at = <usize>i << 2;
    const g = splat(load<f32>(grad + at));
    const m = withoutDenormals(madd(splat(floatArg(args, 9)), splat(load<f32>(mu + at)), f32x4.mul(splat(floatArg(args, 15)), g)));
    const n = withoutDenormals(madd(splat(floatArg(args, 10)), splat(load<f32>(nu + at)), f32x4.mul(splat(floatArg(args, 16)), f32x4.mul(g, g))));
    store<f32>(newMu + at, f32x4.extract_lane(m, 0));
    store<f32>(newNu + at, f32x4.extract_lane(n, 0));
    store<f32>(update + at, f32x4.extract_lane(step(splat(load<f32>(param + at)), m, n, args), 0));
  }
}

// @ts-ignore: decorator
@inline
function step(param: v128, m: v128, n: v128, args: usize): v128 {
  const root = f32x4.add(f32x4.sqrt(f32x4.div(n, splat(floatArg(args, 14)))), splat(floatArg(args, 11)));
  const direction = f32x4.div(f32x4.div(m, splat(floatArg(args, 13))), root);
  return f32x4.mul(splat(-floatArg(args, 8)), madd(splat(floatArg(args, 12)), param, direction));
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

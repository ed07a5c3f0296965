// The step of every optimizer that keeps one mean of the gradient: SGD-SaI, LARS, Lion, the momentum of Muon.
import { floatArg, intArg, pointerArg } from './args';
import { address, numberOf, withoutDenormals } from './optimizers';
import { loadSplat, madd, splat } from './simd';

/**
 * momentum — one chunk of
 *
 *     g' = factor · (grad + penalty · param)          d = aheadKeep · mu + aheadTake · g'
 *     mu ← keep · mu + take · g'                      update = −lr · scale · (outFactor · d + decay · param)
 *
 * with sign(d) for d if `sign` is set; where penalty and decay are 0 the parameter does not matter, be it NaN.
 * args: 0 table (param, grad, mu, update; decay, penalty, scale, index), 1 −lr, 2 keep, 3 take, 4 aheadKeep, 5 aheadTake, 6 sign,
 * 7 factors, one per tensor (0: none), 8 outFactors, likewise.
 */
export function momentum(chunk: i32, args: usize, scratch: usize): void {
  const row = pointerArg(args, 0) + <usize>chunk * 36;
  let param = address(row, 0), grad = address(row, 1), mu = address(row, 2), update = address(row, 3);
  const count = load<i32>(row, 16);
  const vectors = count >> 2;
  momentumVectors(param, grad, mu, update, vectors, row, args);
  const rest = <usize>(count & 3) << 2;
  if (rest == 0) return;
  // The last one to three elements, as a vector of their own.
  const done = <usize>vectors << 4;
  param += done, grad += done, mu += done, update += done;
  memory.fill(scratch, 0, 48);
  memory.copy(scratch, param, rest);
  memory.copy(scratch + 16, grad, rest);
  memory.copy(scratch + 32, mu, rest);
  momentumVectors(scratch, scratch + 16, scratch + 32, scratch + 48, 1, row, args);
  memory.copy(mu, scratch + 32, rest);
  memory.copy(update, scratch + 48, rest);
}

function momentumVectors(param: usize, grad: usize, mu: usize, update: usize, vectors: i32, row: usize, args: usize): void {
  const decay = loadSplat(row, 20), penalty = loadSplat(row, 24);
  const rate = splat(floatArg(args, 1) * load<f32>(row, 28));
  const factor = splat(numberOf(pointerArg(args, 7), row + 32, 1)), outFactor = splat(numberOf(pointerArg(args, 8), row + 32, 1));
  const keep = splat(floatArg(args, 2)), take = splat(floatArg(args, 3));
  const aheadKeep = splat(floatArg(args, 4)), aheadTake = splat(floatArg(args, 5));
  const decays = f32x4.ne(decay, splat(0)), penalised = f32x4.ne(penalty, splat(0));
  const isSign = intArg(args, 6) != 0;
  for (let at: usize = 0; vectors > 0; vectors--, at += 16) {
    const p = v128.load(param + at);
    const g = f32x4.mul(factor, madd(penalty, v128.and(p, penalised), v128.load(grad + at)));
    const m = v128.load(mu + at);
    let ahead = madd(aheadKeep, m, f32x4.mul(aheadTake, g));
    if (isSign) ahead = sign(ahead);
    v128.store(mu + at, withoutDenormals(madd(keep, m, f32x4.mul(take, g))));
    v128.store(update + at, f32x4.mul(rate, madd(decay, v128.and(p, decays), f32x4.mul(outFactor, ahead))));
  }
}

/** 1 above zero, −1 below, and x itself where it is neither: zero or NaN. */
// @ts-ignore: decorator
@inline
function sign(x: v128): v128 {
  const zero = splat(0);
  return v128.bitselect(splat(1), v128.bitselect(splat(-1), x, f32x4.lt(x, zero)), f32x4.gt(x, zero));
}

// Softmax cross-entropy of rows of logits: the probabilities are never stored.
import { floatArg, intArg, pointerArg } from './args';
import { exp, exp1, maxLanes, sumLanes } from './exp';
import { splat } from './simd';

/**
 * crossEntropy — loss and log-sum-exp of a chunk of rows.
 * loss = (1 − ε)(lse − x_t) + ε(lse − mean x) + z·lse²; 0 where the target is to be ignored.
 * args: 0 logits, 1 targets (i32), 2 loss, 3 lse, 4 rows, 5 classes, 6 ignored target, 7 ε (label smoothing), 8 z, 9 rows per chunk.
 */
export function crossEntropy(chunk: i32, args: usize, scratch: usize): void {
  const v = intArg(args, 5), ignored = intArg(args, 6), perChunk = intArg(args, 9);
  const smoothing = floatArg(args, 7), z = floatArg(args, 8);
  const end = min((chunk + 1) * perChunk, intArg(args, 4));
  for (let row = chunk * perChunk; row < end; row++) {
    const x = pointerArg(args, 0) + ((<usize>row * <usize>v) << 2);
    const lse = logSumExp(x, v);
    const target = load<i32>(pointerArg(args, 1) + (<usize>row << 2));
    let loss: f32 = 0;
    if (target != ignored) {
      loss = (1 - smoothing) * (lse - load<f32>(x + (<usize>target << 2))) + z * lse * lse;
      if (smoothing != 0) loss += smoothing * (lse - mean(x, v));
    }
    store<f32>(pointerArg(args, 2) + (<usize>row << 2), loss);
    store<f32>(pointerArg(args, 3) + (<usize>row << 2), lse);
  }
}

/**
 * crossEntropyGrad — dlogits of a chunk of rows: dy · ((1 + 2·z·lse)·softmax − (1 − ε)·onehot − ε/v).
 * args: 0 logits, 1 targets, 2 lse, 3 dy, 4 dlogits, 5 rows, 6 classes, 7 ignored target, 8 ε, 9 z, 10 rows per chunk.
 */
export function crossEntropyGrad(chunk: i32, args: usize, scratch: usize): void {
  const v = intArg(args, 6), ignored = intArg(args, 7), perChunk = intArg(args, 10);
  const smoothing = floatArg(args, 8), z = floatArg(args, 9);
  const end = min((chunk + 1) * perChunk, intArg(args, 5));
  for (let row = chunk * perChunk; row < end; row++) {
    const start = (<usize>row * <usize>v) << 2;
    const dx = pointerArg(args, 4) + start;
    const target = load<i32>(pointerArg(args, 1) + (<usize>row << 2));
    if (target == ignored) {
      memory.fill(dx, 0, <usize>v << 2);
      continue;
    }
    const lse = load<f32>(pointerArg(args, 2) + (<usize>row << 2));
    const dy = load<f32>(pointerArg(args, 3) + (<usize>row << 2));
    gradRow(pointerArg(args, 0) + start, dx, v, lse, dy * (1 + 2 * z * lse), dy * smoothing / <f32>v);
    const at = dx + (<usize>target << 2);
    store<f32>(at, load<f32>(at) - dy * (1 - smoothing));
  }
}

/** dx = factor · e^(x − lse) − shift. */
function gradRow(x: usize, dx: usize, v: i32, lse: f32, factor: f32, shift: f32): void {
  let i = 0;
  for (; i + 4 <= v; i += 4, x += 16, dx += 16) {
    const p = exp(f32x4.sub(v128.load(x), splat(lse)));
    v128.store(dx, f32x4.sub(f32x4.mul(p, splat(factor)), splat(shift)));
  }
  for (; i < v; i++, x += 4, dx += 4) store<f32>(dx, exp1(load<f32>(x) - lse) * factor - shift);
}

function logSumExp(x: usize, v: i32): f32 {
  const largest = maximum(x, v);
  const shift = abs(largest) == Infinity ? <f32>0 : largest;
  return shift + Mathf.log(sumExp(x, v, shift));
}

/** maximum — the largest of `count` numbers; NaN wins; −∞ for none. */
export function maximum(x: usize, count: i32): f32 {
  let i = 0;
  let best4 = splat(-Infinity);
  for (; i + 4 <= count; i += 4, x += 16) best4 = f32x4.max(best4, v128.load(x));
  let best = maxLanes(best4);
  for (; i < count; i++, x += 4) best = max(best, load<f32>(x));
  return best;
}

function sumExp(x: usize, count: i32, shift: f32): f32 {
  let total = splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16) total = f32x4.add(total, exp(f32x4.sub(v128.load(x), splat(shift))));
  let sum = sumLanes(total);
  for (; i < count; i++, x += 4) sum += exp1(load<f32>(x) - shift);
  return sum;
}

function mean(x: usize, count: i32): f32 {
  let total = splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16) total = f32x4.add(total, v128.load(x));
  let sum = sumLanes(total);
  for (; i < count; i++, x += 4) sum += load<f32>(x);
  return sum / <f32>count;
}

/** softmax — a chunk of rows. args: 0 x, 1 y, 2 rows, 3 columns, 4 rows per chunk. */
export function softmax(chunk: i32, args: usize, scratch: usize): void {
  const v = intArg(args, 3), perChunk = intArg(args, 4);
  const end = min((chunk + 1) * perChunk, intArg(args, 2));
  for (let row = chunk * perChunk; row < end; row++) {
    const start = (<usize>row * <usize>v) << 2;
    let x = pointerArg(args, 0) + start;
    let y = pointerArg(args, 1) + start;
    const shift = maximum(x, v);
    const factor: f32 = 1 / sumExp(x, v, shift);
    let i = 0;
    for (; i + 4 <= v; i += 4, x += 16, y += 16) v128.store(y, f32x4.mul(exp(f32x4.sub(v128.load(x), splat(shift))), splat(factor)));
    for (; i < v; i++, x += 4, y += 4) store<f32>(y, exp1(load<f32>(x) - shift) * factor);
  }
}

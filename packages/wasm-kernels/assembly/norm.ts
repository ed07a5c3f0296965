// LayerNorm and RMSNorm over rows, of x or of x + residual, and their gradients. `centred` (1 or 0) tells them apart: RMSNorm does not
// subtract the mean.
import { floatArg, intArg, pointerArg } from './args';
import { sumLanes } from './exp';
import { addRow, RUN, sumOf } from './reduce';
import { madd, splat } from './simd';

/** mean of a row, or 0. */
function meanOf(x: usize, c: i32, centred: i32): f32 {
  return centred ? sumOf(x, c) / <f32>c : <f32>0;
}

/** 1 / √(mean((x − mean)²) + eps). */
function inverseDeviation(x: usize, c: i32, mean: f32, eps: f32): f32 {
  return 1 / sqrt(squaresOf(x, c, mean) / <f32>c + eps);
}

/** Σ (x − mean)², by halves as `sumOf`. */
export function squaresOf(x: usize, c: i32, mean: f32): f32 {
  if (c > RUN) {
    const half = ((c / 2 + RUN - 1) / RUN) * RUN;
    return squaresOf(x, half, mean) + squaresOf(x + (<usize>half << 2), c - half, mean);
  }
  const mean4 = splat(mean);
  let total = splat(0);
  let i = 0;
  for (; i + 4 <= c; i += 4, x += 16) {
    const centred = f32x4.sub(v128.load(x), mean4);
    total = madd(centred, centred, total);
  }
  let sum = sumLanes(total);
  for (; i < c; i++, x += 4) {
    const centred = load<f32>(x) - mean;
    sum += centred * centred;
  }
  return sum;
}

/**
 * norm — y = (x − mean) / √(variance + eps) · weight + bias, for a chunk of rows.
 * With a residual, x + residual is what is normalised; it is written to `sum`.
 * args: 0 x, 1 weight (0: none), 2 bias (0: none), 3 y, 4 rows, 5 channels, 6 eps, 7 centred, 8 rows per chunk, 9 residual (0: none),
 * 10 sum.
 */
export function norm(chunk: i32, args: usize, scratch: usize): void {
  const weight = pointerArg(args, 1), bias = pointerArg(args, 2);
  const c = intArg(args, 5), perChunk = intArg(args, 8);
  const residual = pointerArg(args, 9);
  const end = min((chunk + 1) * perChunk, intArg(args, 4));
  for (let row = chunk * perChunk; row < end; row++) {
    const start = (<usize>row * <usize>c) << 2;
    let x = pointerArg(args, 0) + start;
    let y = pointerArg(args, 3) + start;
    if (residual) {
      const sum = pointerArg(args, 10) + start;
      addRow(sum, x, residual + start, c);
      x = sum;
    }
    const mean = meanOf(x, c, intArg(args, 7));
    const scale = inverseDeviation(x, c, mean, floatArg(args, 6));
    let w = weight;
    let b = bias;
    let i = 0;
    for (; i + 4 <= c; i += 4, x += 16, y += 16, w += 16, b += 16) {
      let value = f32x4.mul(f32x4.sub(v128.load(x), splat(mean)), splat(scale));
      if (weight) value = f32x4.mul(value, v128.load(w));
      if (bias) value = f32x4.add(value, v128.load(b));
      v128.store(y, value);
    }
    for (; i < c; i++, x += 4, y += 4, w += 4, b += 4) {
      let value = (load<f32>(x) - mean) * scale;
      if (weight) value *= load<f32>(w);
      if (bias) value += load<f32>(b);
      store<f32>(y, value);
    }
  }
}

/**
 * normGrad — dx of a chunk of rows, and the chunk's share of dweight and dbias.
 * args: 0 x, 1 weight (0: none), 2 dy, 3 dx, 4 partial sums (chunks × 2 × channels: dweight, dbias), 5 rows, 6 channels, 7 eps,
 * 8 centred, 9 rows per chunk, 10 dsum, which is added to dx (0: none).
 */
export function normGrad(chunk: i32, args: usize, scratch: usize): void {
  const weight = pointerArg(args, 1);
  const c = intArg(args, 6), centred = intArg(args, 8), perChunk = intArg(args, 9);
  const dweight = pointerArg(args, 4) + ((<usize>chunk * <usize>c) << 3);
  const dbias = dweight + (<usize>c << 2);
  memory.fill(dweight, 0, <usize>c << 3);
  const dsum = pointerArg(args, 10);
  const end = min((chunk + 1) * perChunk, intArg(args, 5));
  for (let row = chunk * perChunk; row < end; row++) {
    const start = (<usize>row * <usize>c) << 2;
    const x = pointerArg(args, 0) + start;
    const mean = meanOf(x, c, centred);
    const scale = inverseDeviation(x, c, mean, floatArg(args, 7));
    const dx = pointerArg(args, 3) + start;
    normGradRow(x, weight, pointerArg(args, 2) + start, dx, dweight, dbias, c, mean, scale, centred);
    if (dsum) addRow(dx, dx, dsum + start, c);
  }
}

/** dx = scale · (g − mean(g) − x̂ · mean(g · x̂)) with g = dy · weight; dweight += dy · x̂; dbias += dy. */
function normGradRow(x: usize, weight: usize, dy: usize, dx: usize, dweight: usize, dbias: usize, c: i32, mean: f32, scale: f32, centred: i32): void {
  let sum4 = splat(0), product4 = splat(0); // of whole runs of 256
  let runSum4 = splat(0), runProduct4 = splat(0);
  let i = 0;
  for (; i + 4 <= c; i += 4) {
    if (i % RUN == 0) {
      sum4 = f32x4.add(sum4, runSum4);
      product4 = f32x4.add(product4, runProduct4);
      runSum4 = splat(0);
      runProduct4 = splat(0);
    }
    const at = <usize>i << 2;
    const normal = f32x4.mul(f32x4.sub(v128.load(x + at), splat(mean)), splat(scale));
    const gradient = v128.load(dy + at);
    v128.store(dweight + at, madd(gradient, normal, v128.load(dweight + at)));
    v128.store(dbias + at, f32x4.add(gradient, v128.load(dbias + at)));
    const g = weight ? f32x4.mul(gradient, v128.load(weight + at)) : gradient;
    runSum4 = f32x4.add(runSum4, g);
    runProduct4 = madd(g, normal, runProduct4);
  }
  let sum = sumLanes(f32x4.add(sum4, runSum4));
  let product = sumLanes(f32x4.add(product4, runProduct4));
  for (; i < c; i++) {
    const at = <usize>i << 2;
    const normal = (load<f32>(x + at) - mean) * scale;
    const gradient = load<f32>(dy + at);
    store<f32>(dweight + at, load<f32>(dweight + at) + gradient * normal);
    store<f32>(dbias + at, load<f32>(dbias + at) + gradient);
    const g = weight ? gradient * load<f32>(weight + at) : gradient;
    sum += g;
    product += g * normal;
  }
  const meanG = centred ? sum / <f32>c : <f32>0;
  const meanProduct = product / <f32>c;
  for (i = 0; i + 4 <= c; i += 4) {
    const at = <usize>i << 2;
    const normal = f32x4.mul(f32x4.sub(v128.load(x + at), splat(mean)), splat(scale));
    let g = v128.load(dy + at);
    if (weight) g = f32x4.mul(g, v128.load(weight + at));
    v128.store(dx + at, f32x4.mul(splat(scale), f32x4.sub(f32x4.sub(g, splat(meanG)), f32x4.mul(normal, splat(meanProduct)))));
  }
  for (; i < c; i++) {
    const at = <usize>i << 2;
    const normal = (load<f32>(x + at) - mean) * scale;
    const g = load<f32>(dy + at) * (weight ? load<f32>(weight + at) : <f32>1);
    store<f32>(dx + at, scale * (g - meanG - normal * meanProduct));
  }
}

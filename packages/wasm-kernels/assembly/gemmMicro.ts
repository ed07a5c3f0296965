// The register tile: C[6×8] (+)= A panel · B panel.
import { loadSplat, madd } from './simd';

/**
 * micro6x8 — twelve accumulators over a depth of kc.
 * a: kc × 6 floats, b: kc × 8 floats; c: 6 rows of 8 floats, `ldc` bytes apart. With `accumulate` C is added to, else written.
 * The product is multiplied by `scale`; with `bias` ≠ 0 its eight floats are then added to each row. The loop is not unrolled: by four the engine spills registers.
 */
export function micro6x8(kc: i32, a: usize, b: usize, c: usize, ldc: usize, accumulate: i32, bias: usize, scale: f32): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  let c40 = c00;
  let c41 = c00;
  let c50 = c00;
  let c51 = c00;
  const end = b + (<usize>kc << 5);
  while (b < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = loadSplat(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = loadSplat(a, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = loadSplat(a, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = loadSplat(a, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    x = loadSplat(a, 16);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);
    x = loadSplat(a, 20);
    c50 = madd(x, b0, c50);
    c51 = madd(x, b1, c51);
    a += 24;
    b += 32;
  }
  if (scale != 1) {
    const s = f32x4.splat(scale);
    c00 = f32x4.mul(c00, s);
    c01 = f32x4.mul(c01, s);
    c10 = f32x4.mul(c10, s);
    c11 = f32x4.mul(c11, s);
    c20 = f32x4.mul(c20, s);
    c21 = f32x4.mul(c21, s);
    c30 = f32x4.mul(c30, s);
    c31 = f32x4.mul(c31, s);
    c40 = f32x4.mul(c40, s);
    c41 = f32x4.mul(c41, s);
    c50 = f32x4.mul(c50, s);
    c51 = f32x4.mul(c51, s);
  }
  if (bias != 0) {
    const v0 = v128.load(bias);
    const v1 = v128.load(bias, 16);
    c00 = f32x4.add(c00, v0);
    c01 = f32x4.add(c01, v1);
    c10 = f32x4.add(c10, v0);
    c11 = f32x4.add(c11, v1);
    c20 = f32x4.add(c20, v0);
    c21 = f32x4.add(c21, v1);
    c30 = f32x4.add(c30, v0);
    c31 = f32x4.add(c31, v1);
    c40 = f32x4.add(c40, v0);
    c41 = f32x4.add(c41, v1);
    c50 = f32x4.add(c50, v0);
    c51 = f32x4.add(c51, v1);
  }
  storeRow(c, c00, c01, accumulate);
  c += ldc;
  storeRow(c, c10, c11, accumulate);
  c += ldc;
  storeRow(c, c20, c21, accumulate);
  c += ldc;
  storeRow(c, c30, c31, accumulate);
  c += ldc;
  storeRow(c, c40, c41, accumulate);
  c += ldc;
  storeRow(c, c50, c51, accumulate);
}

// @ts-ignore: decorator
@inline
function storeRow(c: usize, left: v128, right: v128, accumulate: i32): void {
  if (accumulate) {
    left = f32x4.add(v128.load(c), left);
    right = f32x4.add(v128.load(c, 16), right);
  }
  v128.store(c, left);
  v128.store(c, right, 16);
}

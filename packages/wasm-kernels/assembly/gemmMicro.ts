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

/**
 * micro6x16 — two panels of B beside one another, for engines that join neighbouring vectors into registers of eight floats: then twelve
 * accumulators again, enough to hide the latency of a multiply-add. Every number is that of micro6x8. `scale` and `bias` as there.
 */
export function micro6x16(kc: i32, a: usize, b: usize, c: usize, ldc: usize, accumulate: i32, bias: usize, scale: f32): void {
  const right = <usize>kc << 5;
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c02 = c00;
  let c03 = c00;
  let c10 = c00;
  let c11 = c00;
  let c12 = c00;
  let c13 = c00;
  let c20 = c00;
  let c21 = c00;
  let c22 = c00;
  let c23 = c00;
  let c30 = c00;
  let c31 = c00;
  let c32 = c00;
  let c33 = c00;
  let c40 = c00;
  let c41 = c00;
  let c42 = c00;
  let c43 = c00;
  let c50 = c00;
  let c51 = c00;
  let c52 = c00;
  let c53 = c00;
  const end = b + right;
  let b2 = b + right;
  while (b < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const b20 = v128.load(b2);
    const b21 = v128.load(b2, 16);
    let x = loadSplat(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    c02 = madd(x, b20, c02);
    c03 = madd(x, b21, c03);
    x = loadSplat(a, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    c12 = madd(x, b20, c12);
    c13 = madd(x, b21, c13);
    x = loadSplat(a, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    c22 = madd(x, b20, c22);
    c23 = madd(x, b21, c23);
    x = loadSplat(a, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    c32 = madd(x, b20, c32);
    c33 = madd(x, b21, c33);
    x = loadSplat(a, 16);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);
    c42 = madd(x, b20, c42);
    c43 = madd(x, b21, c43);
    x = loadSplat(a, 20);
    c50 = madd(x, b0, c50);
    c51 = madd(x, b1, c51);
    c52 = madd(x, b20, c52);
    c53 = madd(x, b21, c53);
    a += 24;
    b += 32;
    b2 += 32;
  }
  if (scale != 1) {
    const s = f32x4.splat(scale);
    c00 = f32x4.mul(c00, s);
    c01 = f32x4.mul(c01, s);
    c02 = f32x4.mul(c02, s);
    c03 = f32x4.mul(c03, s);
    c10 = f32x4.mul(c10, s);
    c11 = f32x4.mul(c11, s);
    c12 = f32x4.mul(c12, s);
    c13 = f32x4.mul(c13, s);
    c20 = f32x4.mul(c20, s);
    c21 = f32x4.mul(c21, s);
    c22 = f32x4.mul(c22, s);
    c23 = f32x4.mul(c23, s);
    c30 = f32x4.mul(c30, s);
    c31 = f32x4.mul(c31, s);
    c32 = f32x4.mul(c32, s);
    c33 = f32x4.mul(c33, s);
    c40 = f32x4.mul(c40, s);
    c41 = f32x4.mul(c41, s);
    c42 = f32x4.mul(c42, s);
    c43 = f32x4.mul(c43, s);
    c50 = f32x4.mul(c50, s);
    c51 = f32x4.mul(c51, s);
    c52 = f32x4.mul(c52, s);
    c53 = f32x4.mul(c53, s);
  }
  if (bias != 0) {
    const v0 = v128.load(bias);
    const v1 = v128.load(bias, 16);
    const v2 = v128.load(bias, 32);
    const v3 = v128.load(bias, 48);
    c00 = f32x4.add(c00, v0);
    c01 = f32x4.add(c01, v1);
    c02 = f32x4.add(c02, v2);
    c03 = f32x4.add(c03, v3);
    c10 = f32x4.add(c10, v0);
    c11 = f32x4.add(c11, v1);
    c12 = f32x4.add(c12, v2);
    c13 = f32x4.add(c13, v3);
    c20 = f32x4.add(c20, v0);
    c21 = f32x4.add(c21, v1);
    c22 = f32x4.add(c22, v2);
    c23 = f32x4.add(c23, v3);
    c30 = f32x4.add(c30, v0);
    c31 = f32x4.add(c31, v1);
    c32 = f32x4.add(c32, v2);
    c33 = f32x4.add(c33, v3);
    c40 = f32x4.add(c40, v0);
    c41 = f32x4.add(c41, v1);
    c42 = f32x4.add(c42, v2);
    c43 = f32x4.add(c43, v3);
    c50 = f32x4.add(c50, v0);
    c51 = f32x4.add(c51, v1);
    c52 = f32x4.add(c52, v2);
    c53 = f32x4.add(c53, v3);
  }
  storeRow(c, c00, c01, accumulate);
  storeRow(c + 32, c02, c03, accumulate);
  c += ldc;
  storeRow(c, c10, c11, accumulate);
  storeRow(c + 32, c12, c13, accumulate);
  c += ldc;
  storeRow(c, c20, c21, accumulate);
  storeRow(c + 32, c22, c23, accumulate);
  c += ldc;
  storeRow(c, c30, c31, accumulate);
  storeRow(c + 32, c32, c33, accumulate);
  c += ldc;
  storeRow(c, c40, c41, accumulate);
  storeRow(c + 32, c42, c43, accumulate);
  c += ldc;
  storeRow(c, c50, c51, accumulate);
  storeRow(c + 32, c52, c53, accumulate);
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

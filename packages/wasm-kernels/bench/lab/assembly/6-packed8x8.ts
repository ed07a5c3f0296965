// Packed, 8 × 8: sixteen accumulators do not fit into sixteen registers beside their operands.
import { blocked } from './blocked';
import { addTo, madd, splatAt } from './simd';

export function packed8x8(a: usize, b: usize, c: usize, n: i32, scratch: usize): void {
  blocked(a, b, c, n, scratch, 8, 8, micro);
}

function micro(kc: i32, a: usize, b: usize, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0), c41 = f32x4.splat(0);
  let c50 = f32x4.splat(0), c51 = f32x4.splat(0);
  let c60 = f32x4.splat(0), c61 = f32x4.splat(0);
  let c70 = f32x4.splat(0), c71 = f32x4.splat(0);
  for (let k = 0; k < kc; k++, a += 32, b += 32) {
    const y0 = v128.load(b, 0), y1 = v128.load(b, 16);
    let x = splatAt(a, 0);
    c00 = madd(x, y0, c00); c01 = madd(x, y1, c01);
    x = splatAt(a, 4);
    c10 = madd(x, y0, c10); c11 = madd(x, y1, c11);
    x = splatAt(a, 8);
    c20 = madd(x, y0, c20); c21 = madd(x, y1, c21);
    x = splatAt(a, 12);
    c30 = madd(x, y0, c30); c31 = madd(x, y1, c31);
    x = splatAt(a, 16);
    c40 = madd(x, y0, c40); c41 = madd(x, y1, c41);
    x = splatAt(a, 20);
    c50 = madd(x, y0, c50); c51 = madd(x, y1, c51);
    x = splatAt(a, 24);
    c60 = madd(x, y0, c60); c61 = madd(x, y1, c61);
    x = splatAt(a, 28);
    c70 = madd(x, y0, c70); c71 = madd(x, y1, c71);
  }
  addTo(c + 0, c00); addTo(c + 16, c01);  c += ldc;
  addTo(c + 0, c10); addTo(c + 16, c11);  c += ldc;
  addTo(c + 0, c20); addTo(c + 16, c21);  c += ldc;
  addTo(c + 0, c30); addTo(c + 16, c31);  c += ldc;
  addTo(c + 0, c40); addTo(c + 16, c41);  c += ldc;
  addTo(c + 0, c50); addTo(c + 16, c51);  c += ldc;
  addTo(c + 0, c60); addTo(c + 16, c61);  c += ldc;
  addTo(c + 0, c70); addTo(c + 16, c71);
}

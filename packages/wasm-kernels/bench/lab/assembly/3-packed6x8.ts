// Packed, 6 × 8: twelve accumulators, two vectors of B and one of A in 15 of 16 registers. What src/ uses.
import { blocked } from './blocked';
import { addTo, madd, splatAt } from './simd';

export function packed6x8(a: usize, b: usize, c: usize, n: i32, scratch: usize): void {
  blocked(a, b, c, n, scratch, 6, 8, micro);
}

function micro(kc: i32, a: usize, b: usize, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0), c41 = f32x4.splat(0);
  let c50 = f32x4.splat(0), c51 = f32x4.splat(0);
  for (let k = 0; k < kc; k++, a += 24, b += 32) {
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
  }
  addTo(c + 0, c00); addTo(c + 16, c01);  c += ldc;
  addTo(c + 0, c10); addTo(c + 16, c11);  c += ldc;
  addTo(c + 0, c20); addTo(c + 16, c21);  c += ldc;
  addTo(c + 0, c30); addTo(c + 16, c31);  c += ldc;
  addTo(c + 0, c40); addTo(c + 16, c41);  c += ldc;
  addTo(c + 0, c50); addTo(c + 16, c51);
}

// Packed, 4 × 12: as many accumulators, one load in eight saved, one register more for B than V8 has.
import { blocked } from './blocked';
import { addTo, madd, splatAt } from './simd';

export function packed4x12(a: usize, b: usize, c: usize, n: i32, scratch: usize): void {
  blocked(a, b, c, n, scratch, 4, 12, micro);
}

function micro(kc: i32, a: usize, b: usize, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0), c12 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c22 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0), c32 = f32x4.splat(0);
  for (let k = 0; k < kc; k++, a += 16, b += 48) {
    const y0 = v128.load(b, 0), y1 = v128.load(b, 16), y2 = v128.load(b, 32);
    let x = splatAt(a, 0);
    c00 = madd(x, y0, c00); c01 = madd(x, y1, c01); c02 = madd(x, y2, c02);
    x = splatAt(a, 4);
    c10 = madd(x, y0, c10); c11 = madd(x, y1, c11); c12 = madd(x, y2, c12);
    x = splatAt(a, 8);
    c20 = madd(x, y0, c20); c21 = madd(x, y1, c21); c22 = madd(x, y2, c22);
    x = splatAt(a, 12);
    c30 = madd(x, y0, c30); c31 = madd(x, y1, c31); c32 = madd(x, y2, c32);
  }
  addTo(c + 0, c00); addTo(c + 16, c01); addTo(c + 32, c02);  c += ldc;
  addTo(c + 0, c10); addTo(c + 16, c11); addTo(c + 32, c12);  c += ldc;
  addTo(c + 0, c20); addTo(c + 16, c21); addTo(c + 32, c22);  c += ldc;
  addTo(c + 0, c30); addTo(c + 16, c31); addTo(c + 32, c32);
}

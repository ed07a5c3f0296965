// The same with the loop unrolled by four: the engine then holds loads of several steps at once.
import { blocked } from './blocked';
import { addTo, madd, splatAt } from './simd';

export function packed6x8unrolled(a: usize, b: usize, c: usize, n: i32, scratch: usize): void {
  blocked(a, b, c, n, scratch, 6, 8, micro);
}

function micro(kc: i32, a: usize, b: usize, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0), c41 = f32x4.splat(0);
  let c50 = f32x4.splat(0), c51 = f32x4.splat(0);
  for (let k = 0; k < kc; k += 4, a += 96, b += 128) {
    const y00 = v128.load(b, 0), y01 = v128.load(b, 16);
    let x = splatAt(a, 0);
    c00 = madd(x, y00, c00); c01 = madd(x, y01, c01);
    x = splatAt(a, 4);
    c10 = madd(x, y00, c10); c11 = madd(x, y01, c11);
    x = splatAt(a, 8);
    c20 = madd(x, y00, c20); c21 = madd(x, y01, c21);
    x = splatAt(a, 12);
    c30 = madd(x, y00, c30); c31 = madd(x, y01, c31);
    x = splatAt(a, 16);
    c40 = madd(x, y00, c40); c41 = madd(x, y01, c41);
    x = splatAt(a, 20);
    c50 = madd(x, y00, c50); c51 = madd(x, y01, c51);
    const y10 = v128.load(b, 32), y11 = v128.load(b, 48);
    x = splatAt(a, 24);
    c00 = madd(x, y10, c00); c01 = madd(x, y11, c01);
    x = splatAt(a, 28);
    c10 = madd(x, y10, c10); c11 = madd(x, y11, c11);
    x = splatAt(a, 32);
    c20 = madd(x, y10, c20); c21 = madd(x, y11, c21);
    x = splatAt(a, 36);
    c30 = madd(x, y10, c30); c31 = madd(x, y11, c31);
    x = splatAt(a, 40);
    c40 = madd(x, y10, c40); c41 = madd(x, y11, c41);
    x = splatAt(a, 44);
    c50 = madd(x, y10, c50); c51 = madd(x, y11, c51);
    const y20 = v128.load(b, 64), y21 = v128.load(b, 80);
    x = splatAt(a, 48);
    c00 = madd(x, y20, c00); c01 = madd(x, y21, c01);
    x = splatAt(a, 52);
    c10 = madd(x, y20, c10); c11 = madd(x, y21, c11);
    x = splatAt(a, 56);
    c20 = madd(x, y20, c20); c21 = madd(x, y21, c21);
    x = splatAt(a, 60);
    c30 = madd(x, y20, c30); c31 = madd(x, y21, c31);
    x = splatAt(a, 64);
    c40 = madd(x, y20, c40); c41 = madd(x, y21, c41);
    x = splatAt(a, 68);
    c50 = madd(x, y20, c50); c51 = madd(x, y21, c51);
    const y30 = v128.load(b, 96), y31 = v128.load(b, 112);
    x = splatAt(a, 72);
    c00 = madd(x, y30, c00); c01 = madd(x, y31, c01);
    x = splatAt(a, 76);
    c10 = madd(x, y30, c10); c11 = madd(x, y31, c11);
    x = splatAt(a, 80);
    c20 = madd(x, y30, c20); c21 = madd(x, y31, c21);
    x = splatAt(a, 84);
    c30 = madd(x, y30, c30); c31 = madd(x, y31, c31);
    x = splatAt(a, 88);
    c40 = madd(x, y30, c40); c41 = madd(x, y31, c41);
    x = splatAt(a, 92);
    c50 = madd(x, y30, c50); c51 = madd(x, y31, c51);
  }
  addTo(c + 0, c00); addTo(c + 16, c01);  c += ldc;
  addTo(c + 0, c10); addTo(c + 16, c11);  c += ldc;
  addTo(c + 0, c20); addTo(c + 16, c21);  c += ldc;
  addTo(c + 0, c30); addTo(c + 16, c31);  c += ldc;
  addTo(c + 0, c40); addTo(c + 16, c41);  c += ldc;
  addTo(c + 0, c50); addTo(c + 16, c51);
}

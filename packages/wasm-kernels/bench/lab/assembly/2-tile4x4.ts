// A register tile of 4 × 4, read where A and B lie: four multiply-adds for five loads.
import { addTo, madd, splatAt } from './simd';

export function tile4x4(a: usize, b: usize, c: usize, n: i32, scratch: usize): void {
  const row = <usize>n << 2;
  for (let i = 0; i < n; i += 4) {
    for (let j = 0; j < n; j += 4) {
      let c0 = f32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
      let from = a + <usize>i * row;
      let beside = b + (<usize>j << 2);
      for (let k = 0; k < n; k++, from += 4, beside += row) {
        const y = v128.load(beside);
        c0 = madd(splatAt(from), y, c0);
        c1 = madd(splatAt(from + row), y, c1);
        c2 = madd(splatAt(from + 2 * row), y, c2);
        c3 = madd(splatAt(from + 3 * row), y, c3);
      }
      const to = c + <usize>i * row + (<usize>j << 2);
      addTo(to, c0);
      addTo(to + row, c1);
      addTo(to + 2 * row, c2);
      addTo(to + 3 * row, c3);
    }
  }
}

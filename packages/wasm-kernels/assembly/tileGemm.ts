// Small matrix products on operands that lie unpacked in the cache: the tiles of attention.
import { transpose4 } from './gemmPack';
import { WIDE } from './layout';
import { loadSplat, madd } from './simd';

/**
 * tileGemm — C += A·B with A m × k, B k × n, C m × n.
 *
 * @param aRow, aColumn  bytes from one row, one column of A to the next (so A may be transposed)
 * @param bRow, cRow     bytes from one row of B and C to the next; their columns are contiguous
 */
export function tileGemm(m: i32, n: i32, k: i32, a: usize, aRow: usize, aColumn: usize, b: usize, bRow: usize, c: usize, cRow: usize): void {
  const wide = load<i32>(WIDE);
  let i = 0;
  for (; i + 4 <= m; i += 4) {
    const from = a + <usize>i * aRow, to = c + <usize>i * cRow;
    const done = wide ? rows4wide(n, k, from, aRow, aColumn, b, bRow, to, cRow) : 0;
    rows4(n - done, k, from, aRow, aColumn, b + (<usize>done << 2), bRow, to + (<usize>done << 2), cRow);
  }
  for (; i < m; i++) row1(n, k, a + <usize>i * aRow, aColumn, b, bRow, c + <usize>i * cRow);
}

/** Four rows of C, sixteen columns at a time, where the engine has registers of eight floats. Gives the columns that are done. */
function rows4wide(n: i32, k: i32, a: usize, aRow: usize, aColumn: usize, b: usize, bRow: usize, c: usize, cRow: usize): i32 {
  let j = 0;
  for (; j + 16 <= n; j += 16, b += 64, c += 64) {
    const c1 = c + cRow, c2 = c1 + cRow, c3 = c2 + cRow;
    let c00 = v128.load(c), c01 = v128.load(c, 16), c02 = v128.load(c, 32), c03 = v128.load(c, 48);
    let c10 = v128.load(c1), c11 = v128.load(c1, 16), c12 = v128.load(c1, 32), c13 = v128.load(c1, 48);
    let c20 = v128.load(c2), c21 = v128.load(c2, 16), c22 = v128.load(c2, 32), c23 = v128.load(c2, 48);
    let c30 = v128.load(c3), c31 = v128.load(c3, 16), c32 = v128.load(c3, 32), c33 = v128.load(c3, 48);
    let at = a;
    let bt = b;
    for (let p = 0; p < k; p++, at += aColumn, bt += bRow) {
      const b0 = v128.load(bt), b1 = v128.load(bt, 16), b2 = v128.load(bt, 32), b3 = v128.load(bt, 48);
      let x = loadSplat(at);
      c00 = madd(x, b0, c00);
      c01 = madd(x, b1, c01);
      c02 = madd(x, b2, c02);
      c03 = madd(x, b3, c03);
      x = loadSplat(at + aRow);
      c10 = madd(x, b0, c10);
      c11 = madd(x, b1, c11);
      c12 = madd(x, b2, c12);
      c13 = madd(x, b3, c13);
      x = loadSplat(at + 2 * aRow);
      c20 = madd(x, b0, c20);
      c21 = madd(x, b1, c21);
      c22 = madd(x, b2, c22);
      c23 = madd(x, b3, c23);
      x = loadSplat(at + 3 * aRow);
      c30 = madd(x, b0, c30);
      c31 = madd(x, b1, c31);
      c32 = madd(x, b2, c32);
      c33 = madd(x, b3, c33);
    }
    v128.store(c, c00);
    v128.store(c, c01, 16);
    v128.store(c, c02, 32);
    v128.store(c, c03, 48);
    v128.store(c1, c10);
    v128.store(c1, c11, 16);
    v128.store(c1, c12, 32);
    v128.store(c1, c13, 48);
    v128.store(c2, c20);
    v128.store(c2, c21, 16);
    v128.store(c2, c22, 32);
    v128.store(c2, c23, 48);
    v128.store(c3, c30);
    v128.store(c3, c31, 16);
    v128.store(c3, c32, 32);
    v128.store(c3, c33, 48);
  }
  return j;
}

/** Four rows of C, eight columns at a time in registers. */
function rows4(n: i32, k: i32, a: usize, aRow: usize, aColumn: usize, b: usize, bRow: usize, c: usize, cRow: usize): void {
  let j = 0;
  for (; j + 8 <= n; j += 8, b += 32, c += 32) {
    let c00 = v128.load(c), c01 = v128.load(c, 16);
    let c10 = v128.load(c + cRow), c11 = v128.load(c + cRow, 16);
    let c20 = v128.load(c + 2 * cRow), c21 = v128.load(c + 2 * cRow, 16);
    let c30 = v128.load(c + 3 * cRow), c31 = v128.load(c + 3 * cRow, 16);
    let at = a;
    let bt = b;
    for (let p = 0; p < k; p++, at += aColumn, bt += bRow) {
      const b0 = v128.load(bt), b1 = v128.load(bt, 16);
      const a0 = loadSplat(at);
      c00 = madd(a0, b0, c00);
      c01 = madd(a0, b1, c01);
      const a1 = loadSplat(at + aRow);
      c10 = madd(a1, b0, c10);
      c11 = madd(a1, b1, c11);
      const a2 = loadSplat(at + 2 * aRow);
      c20 = madd(a2, b0, c20);
      c21 = madd(a2, b1, c21);
      const a3 = loadSplat(at + 3 * aRow);
      c30 = madd(a3, b0, c30);
      c31 = madd(a3, b1, c31);
    }
    v128.store(c, c00);
    v128.store(c, c01, 16);
    v128.store(c + cRow, c10);
    v128.store(c + cRow, c11, 16);
    v128.store(c + 2 * cRow, c20);
    v128.store(c + 2 * cRow, c21, 16);
    v128.store(c + 3 * cRow, c30);
    v128.store(c + 3 * cRow, c31, 16);
  }
  for (let i: usize = 0; i < 4; i++) rest(n - j, k, a + i * aRow, aColumn, b, bRow, c + i * cRow);
}

function row1(n: i32, k: i32, a: usize, aColumn: usize, b: usize, bRow: usize, c: usize): void {
  let j = 0;
  for (; j + 8 <= n; j += 8, b += 32, c += 32) {
    let c0 = v128.load(c), c1 = v128.load(c, 16);
    let at = a;
    let bt = b;
    for (let p = 0; p < k; p++, at += aColumn, bt += bRow) {
      const a0 = loadSplat(at);
      c0 = madd(a0, v128.load(bt), c0);
      c1 = madd(a0, v128.load(bt, 16), c1);
    }
    v128.store(c, c0);
    v128.store(c, c1, 16);
  }
  rest(n - j, k, a, aColumn, b, bRow, c);
}

/** The last n < 8 columns of one row. */
function rest(n: i32, k: i32, a: usize, aColumn: usize, b: usize, bRow: usize, c: usize): void {
  if (n >= 4) {
    let sum = v128.load(c);
    let at = a;
    let bt = b;
    for (let p = 0; p < k; p++, at += aColumn, bt += bRow) sum = madd(loadSplat(at), v128.load(bt), sum);
    v128.store(c, sum);
    n -= 4;
    b += 16;
    c += 16;
  }
  for (; n > 0; n--, b += 4, c += 4) {
    let sum = load<f32>(c);
    let at = a;
    let bt = b;
    for (let p = 0; p < k; p++, at += aColumn, bt += bRow) sum += load<f32>(at) * load<f32>(bt);
    store<f32>(c, sum);
  }
}

/** transposeInto — out[j][i] = x[i][j] for `rows` × `columns`; rows of x are `xRow` bytes apart, of out `outRow`. */
export function transposeInto(rows: i32, columns: i32, x: usize, xRow: usize, out: usize, outRow: usize): void {
  let i = 0;
  for (; i + 4 <= rows; i += 4, x += 4 * xRow, out += 16) transpose4(x, out, columns, xRow, outRow);
  for (; i < rows; i++, x += xRow, out += 4) {
    let to = out;
    for (let j = 0; j < columns; j++, to += outRow) store<f32>(to, load<f32>(x + (<usize>j << 2)));
  }
}

// A matrix of second moments kept as its row means and column means: Adafactor (arXiv:1804.04235).
import { floatArg, intArg, pointerArg } from './args';
import { squaresOf } from './norm';
import { address } from './optimizers';
import { madd, splat } from './simd';

/**
 * rowColumnSquares — of a block of rows of a matrix, the mean of the squares of each row plus eps, and the sum of squares of each column
 * as the block's share. args: 0 table, one row per chunk: u32 addresses of x, row means, share; i32 rows, columns. 1 eps.
 */
export function rowColumnSquares(chunk: i32, args: usize, scratch: usize): void {
  const entry = pointerArg(args, 0) + <usize>chunk * 20;
  let x = address(entry, 0), mean = address(entry, 1);
  const share = address(entry, 2);
  const rows = load<i32>(entry, 12), columns = load<i32>(entry, 16);
  memory.fill(share, 0, <usize>columns << 2);
  for (let row = 0; row < rows; row++, mean += 4) {
    store<f32>(mean, squaresOf(x, columns, 0) / <f32>columns + floatArg(args, 1));
    let sums = share;
    let i = 0;
    for (; i + 4 <= columns; i += 4, x += 16, sums += 16) {
      const value = v128.load(x);
      v128.store(sums, madd(value, value, v128.load(sums)));
    }
    for (; i < columns; i++, x += 4, sums += 4) store<f32>(sums, load<f32>(sums) + load<f32>(x) * load<f32>(x));
  }
}

/**
 * columnMeans — means of columns from the shares of blocks of rows, plus eps, for some columns of one matrix.
 * args: 0 table, one row per chunk: u32 addresses of the first share and of the means; i32 blocks, columns of the matrix, columns here, rows. 1 eps.
 */
export function columnMeans(chunk: i32, args: usize, scratch: usize): void {
  const entry = pointerArg(args, 0) + <usize>chunk * 24;
  const share = address(entry, 0), mean = address(entry, 1);
  const blocks = load<i32>(entry, 8), columns = load<i32>(entry, 12), count = load<i32>(entry, 16), rows = load<i32>(entry, 20);
  for (let i = 0; i < count; i++) {
    let sum: f64 = 0;
    for (let block = 0; block < blocks; block++) sum += <f64>load<f32>(share + ((<usize>block * <usize>columns + <usize>i) << 2));
    store<f32>(mean + (<usize>i << 2), <f32>(sum / <f64>max(1, rows)) + floatArg(args, 1));
  }
}

/**
 * factoredRoots — a block of rows of y = x / √(row · column / mean).
 * args: 0 table, one row per chunk: u32 addresses of x, row, column, y, mean; i32 rows, columns.
 */
export function factoredRoots(chunk: i32, args: usize, scratch: usize): void {
  const entry = pointerArg(args, 0) + <usize>chunk * 28;
  let x = address(entry, 0), row = address(entry, 1), y = address(entry, 3);
  const mean = load<f32>(address(entry, 4));
  const rows = load<i32>(entry, 20), columns = load<i32>(entry, 24);
  for (let r = 0; r < rows; r++, row += 4) {
    const factor: f32 = 1 / sqrt(load<f32>(row) / mean);
    const factor4 = splat(factor);
    let column = address(entry, 2);
    let i = 0;
    for (; i + 4 <= columns; i += 4, x += 16, y += 16, column += 16) {
      v128.store(y, f32x4.div(f32x4.mul(factor4, v128.load(x)), f32x4.sqrt(v128.load(column))));
    }
    for (; i < columns; i++, x += 4, y += 4, column += 4) store<f32>(y, factor * load<f32>(x) / sqrt(load<f32>(column)));
  }
}

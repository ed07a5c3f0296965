// What a matrix product ends with, done on each block of C while it is in the cache.
import { activated, Silu } from './activations';
import { gelu4 } from './gelu';
import { addRow } from './reduce';
import { splat } from './simd';

const LINEAR: i32 = 0;
const RELU: i32 = 1;
const RELU6: i32 = 2;
const GELU: i32 = 3;
const GELU_TANH: i32 = 4;

/**
 * finish — C = activation(C) + residual over a finished block, in place; `before` ≠ 0: where C is kept as it was before the
 * activation; `residual` = 0: none. Rows of all three are `ldc` bytes apart. NaN stays NaN.
 */
export function finish(c: usize, rows: i32, columns: i32, ldc: usize, activation: i32, before: usize, residual: usize): void {
  if (activation == LINEAR && residual == 0) return;
  for (let i = 0; i < rows; i++) {
    const row = <usize>i * ldc;
    if (before != 0) memory.copy(before + row, c + row, <usize>columns << 2);
    if (activation != LINEAR) activateRow(c + row, columns, activation);
    if (residual != 0) addRow(c + row, c + row, residual + row, columns);
  }
}

function activateRow(at: usize, columns: i32, activation: i32): void {
  let j = 0;
  for (; j + 8 <= columns; j += 8, at += 32) {
    const left = activate(v128.load(at), activation);
    const right = activate(v128.load(at, 16), activation);
    v128.store(at, left);
    v128.store(at, right, 16);
  }
  for (; j + 4 <= columns; j += 4, at += 16) v128.store(at, activate(v128.load(at), activation));
  for (; j < columns; j++, at += 4) v128.store_lane<f32>(at, activate(v128.load_splat<f32>(at), activation), 0);
}

function activate(x: v128, activation: i32): v128 {
  if (activation == GELU) return gelu4(x, 0);
  if (activation == GELU_TANH) return gelu4(x, 1);
  if (activation == RELU) return f32x4.max(x, splat(0));
  if (activation == RELU6) return f32x4.min(f32x4.max(x, splat(0)), splat(6));
  return activated<Silu>(x);
}

// Activations a matrix product can end with.

/** activate — 0 none, 1 relu, 2 relu6 over a finished block of C, in place; rows `ldc` bytes apart. NaN stays NaN. */
export function activate(c: usize, rows: i32, columns: i32, ldc: usize, activation: i32): void {
  if (activation == 0) return;
  const top: f32 = activation == 2 ? 6 : Infinity;
  const zero = f32x4.splat(0);
  const tops = f32x4.splat(top);
  for (let i = 0; i < rows; i++) {
    let at = c + <usize>i * ldc;
    let j = 0;
    for (; j + 4 <= columns; j += 4, at += 16) v128.store(at, f32x4.min(f32x4.max(v128.load(at), zero), tops));
    for (; j < columns; j++, at += 4) store<f32>(at, min<f32>(max<f32>(load<f32>(at), 0), top));
  }
}

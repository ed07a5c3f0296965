// Vector arithmetic shared by the kernels. One source, two builds: with relaxed SIMD a·b+c is one fused instruction.

// @ts-ignore: decorator
@inline
export function splat(x: f32): v128 {
  return f32x4.splat(x);
}

/** a·b + c. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    return f32x4.relaxed_madd(a, b, c);
  } else {
    return f32x4.add(f32x4.mul(a, b), c);
  }
}

/** x at `pointer`, splat over the four lanes. */
// @ts-ignore: decorator
@inline
export function loadSplat(pointer: usize, offset: usize = 0): v128 {
  return v128.load_splat<f32>(pointer + offset);
}

/**
 * constant — number `index` of a table of f32 in memory, splat. For constants in loops: where one is written into the code, the
 * engine builds its vector anew at each use, with up to four instructions; this is one load.
 */
// @ts-ignore: decorator
@inline
export function constant(table: usize, index: usize): v128 {
  return loadSplat(table, index << 2);
}

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

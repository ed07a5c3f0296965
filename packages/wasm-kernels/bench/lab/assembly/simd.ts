// What all variants use: the fused multiply-add of relaxed SIMD, and a float copied into four lanes.

// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_madd(a, b, c);
}

// @ts-ignore: decorator
@inline
export function splatAt(pointer: usize, offset: usize = 0): v128 {
  return v128.load_splat<f32>(pointer + offset);
}

/** addTo — C += x, at `c`. */
// @ts-ignore: decorator
@inline
export function addTo(c: usize, x: v128): void {
  v128.store(c, f32x4.add(v128.load(c), x));
}

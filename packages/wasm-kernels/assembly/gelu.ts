// GELU, exact (erf) and by the tanh approximation.
import { intArg, pointerArg } from './args';
import { erf, tanh } from './math';
import { madd, splat } from './simd';

const CHUNK: i32 = 16384;

/** gelu — one chunk. args: 0 x, 1 y, 2 size, 3 approximation (0 erf, 1 tanh). */
export function gelu(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 2) - first);
  let x = pointerArg(args, 0) + (<usize>first << 2);
  let y = pointerArg(args, 1) + (<usize>first << 2);
  const approximation = intArg(args, 3);
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16, y += 16) v128.store(y, gelu4(v128.load(x), approximation));
  for (; i < count; i++, x += 4, y += 4) {
    store<f32>(y, f32x4.extract_lane(gelu4(v128.load_splat<f32>(x), approximation), 0));
  }
}

// @ts-ignore: decorator
@inline
function gelu4(x: v128, approximation: i32): v128 {
  const half = f32x4.mul(x, splat(0.5));
  if (approximation == 0) return madd(half, erf(f32x4.mul(x, splat(0.7071067811865476))), half);
  const cube = f32x4.mul(x, f32x4.mul(x, x));
  return madd(half, tanh(f32x4.mul(splat(0.7978845608028654), madd(splat(0.044715), cube, x))), half);
}

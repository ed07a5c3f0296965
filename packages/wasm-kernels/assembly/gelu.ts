// GELU, exact (erf) and by the tanh approximation.
import { intArg, pointerArg } from './args';
import { exp } from './exp';
import { normalCdf } from './math';
import { constant, madd } from './simd';

const CHUNK: i32 = 16384;

/** 1, −1/2, −2√(2/π), and the coefficient of x³ in the tanh approximation. */
const TABLE: usize = memory.data<f32>([1, -0.5, -1.5957691216057308, 0.044715]);

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

/** x·Φ(x), or x·sigmoid(2u): ½(1 + tanh u) without its cancellation for negative x. */
// @ts-ignore: decorator
@inline
export function gelu4(x: v128, approximation: i32): v128 {
  const square = f32x4.mul(x, x);
  if (approximation == 0) return f32x4.mul(x, normalCdf(x, exp(f32x4.mul(square, constant(TABLE, 1)))));
  const u = f32x4.mul(x, madd(square, constant(TABLE, 3), constant(TABLE, 0)));
  return f32x4.div(x, f32x4.add(constant(TABLE, 0), exp(f32x4.mul(u, constant(TABLE, 2)))));
}

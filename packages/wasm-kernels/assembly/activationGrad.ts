// SiLU, and the gradients of GELU and SiLU.
import { activated, density, Gelu, GeluTanh, share, Silu, slope } from './activations';
import { intArg, pointerArg } from './args';

const CHUNK: i32 = 16384;

const GELU_ERF: i32 = 0;
const GELU_TANH: i32 = 1;

/** silu — one chunk of x · sigmoid(x). args: 0 x, 1 y, 2 size. */
export function silu(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 2) - first);
  let x = pointerArg(args, 0) + (<usize>first << 2);
  let y = pointerArg(args, 1) + (<usize>first << 2);
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16, y += 16) v128.store(y, activated<Silu>(v128.load(x)));
  for (; i < count; i++, x += 4, y += 4) store<f32>(y, f32x4.extract_lane(activated<Silu>(v128.load_splat<f32>(x)), 0));
}

/** activationGrad — one chunk of dx = dy · f'(x). args: 0 x, 1 dy, 2 dx, 3 size, 4 f (0 GELU by erf, 1 by tanh, 2 SiLU). */
export function activationGrad(chunk: i32, args: usize, scratch: usize): void {
  const kind = intArg(args, 4);
  if (kind == GELU_ERF) gradient<Gelu>(chunk, args);
  else if (kind == GELU_TANH) gradient<GeluTanh>(chunk, args);
  else gradient<Silu>(chunk, args);
}

function gradient<F>(chunk: i32, args: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 3) - first);
  let x = pointerArg(args, 0) + (<usize>first << 2);
  let dy = pointerArg(args, 1) + (<usize>first << 2);
  let dx = pointerArg(args, 2) + (<usize>first << 2);
  let i = 0;
  for (; i + 8 <= count; i += 8, x += 32, dy += 32, dx += 32) {
    const left = f32x4.mul(v128.load(dy), derivative<F>(v128.load(x)));
    const right = f32x4.mul(v128.load(dy, 16), derivative<F>(v128.load(x, 16)));
    v128.store(dx, left);
    v128.store(dx, right, 16);
  }
  for (; i + 4 <= count; i += 4, x += 16, dy += 16, dx += 16) v128.store(dx, f32x4.mul(v128.load(dy), derivative<F>(v128.load(x))));
  for (; i < count; i++, x += 4, dy += 4, dx += 4) {
    store<f32>(dx, load<f32>(dy) * f32x4.extract_lane(derivative<F>(v128.load_splat<f32>(x)), 0));
  }
}

// @ts-ignore: decorator
@inline
function derivative<F>(x: v128): v128 {
  const e = density<F>(x);
  return slope<F>(x, share<F>(x, e), e);
}

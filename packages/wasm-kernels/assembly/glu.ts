// Gated linear units: y = f(gate) · value, and the gradients in both.
import { activated, density, Gelu, GeluTanh, product, Relu, share, Sigmoid, Silu, slope } from './activations';
import { intArg, pointerArg } from './args';

const CHUNK: i32 = 16384;

/** glu — one chunk. args: 0 gate, 1 value, 2 y, 3 size, 4 f (order of GATES in src/kernels/glu.ts). */
export function glu(chunk: i32, args: usize, scratch: usize): void {
  const f = intArg(args, 4);
  if (f == 0) forward<Sigmoid>(chunk, args);
  else if (f == 1) forward<Relu>(chunk, args);
  else if (f == 2) forward<Gelu>(chunk, args);
  else if (f == 3) forward<GeluTanh>(chunk, args);
  else forward<Silu>(chunk, args);
}

/**
 * gluGrad — one chunk of dgate = dy · value · f'(gate) and dvalue = dy · f(gate).
 * args: 0 gate, 1 value, 2 dy, 3 dgate, 4 dvalue, 5 size, 6 f (as for glu).
 */
export function gluGrad(chunk: i32, args: usize, scratch: usize): void {
  const f = intArg(args, 6);
  if (f == 0) backward<Sigmoid>(chunk, args);
  else if (f == 1) backward<Relu>(chunk, args);
  else if (f == 2) backward<Gelu>(chunk, args);
  else if (f == 3) backward<GeluTanh>(chunk, args);
  else backward<Silu>(chunk, args);
}

function forward<F>(chunk: i32, args: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 3) - first);
  const start = <usize>first << 2;
  let gate = pointerArg(args, 0) + start, value = pointerArg(args, 1) + start, y = pointerArg(args, 2) + start;
  let i = 0;
  for (; i + 4 <= count; i += 4, gate += 16, value += 16, y += 16) v128.store(y, f32x4.mul(activated<F>(v128.load(gate)), v128.load(value)));
  for (; i < count; i++, gate += 4, value += 4, y += 4) {
    store<f32>(y, f32x4.extract_lane(activated<F>(v128.load_splat<f32>(gate)), 0) * load<f32>(value));
  }
}

function backward<F>(chunk: i32, args: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 5) - first);
  const start = <usize>first << 2;
  let gate = pointerArg(args, 0) + start, value = pointerArg(args, 1) + start, dy = pointerArg(args, 2) + start;
  let dgate = pointerArg(args, 3) + start, dvalue = pointerArg(args, 4) + start;
  let i = 0;
  for (; i + 4 <= count; i += 4, gate += 16, value += 16, dy += 16, dgate += 16, dvalue += 16) {
    const x = v128.load(gate), g = v128.load(dy);
    const e = density<F>(x), p = share<F>(x, e);
    v128.store(dgate, f32x4.mul(f32x4.mul(g, v128.load(value)), slope<F>(x, p, e)));
    v128.store(dvalue, f32x4.mul(g, product<F>(x, p)));
  }
  for (; i < count; i++, gate += 4, value += 4, dy += 4, dgate += 4, dvalue += 4) {
    const x = v128.load_splat<f32>(gate), g = load<f32>(dy);
    const e = density<F>(x), p = share<F>(x, e);
    store<f32>(dgate, g * load<f32>(value) * f32x4.extract_lane(slope<F>(x, p, e), 0));
    store<f32>(dvalue, g * f32x4.extract_lane(product<F>(x, p), 0));
  }
}

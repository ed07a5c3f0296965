// Elementwise functions of one tensor.
import { sigmoid4 } from './activations';
import { floatArg, intArg, pointerArg } from './args';
import { exp } from './exp';
import { erf, tanh } from './math';
import { splat } from './simd';

const CHUNK: i32 = 16384;

/**
 * unary — one chunk. args: 0 x, 1 y, 2 size, 3 operation (order of UNARY in src/kernels/unary.ts), 4 what Step gives below 0.
 */
export function unary(chunk: i32, args: usize, scratch: usize): void {
  const first = chunk * CHUNK;
  const count = min(CHUNK, intArg(args, 2) - first);
  const x = pointerArg(args, 0) + (<usize>first << 2);
  const y = pointerArg(args, 1) + (<usize>first << 2);
  const a = splat(floatArg(args, 4));
  switch (intArg(args, 3)) {
    case 0: return each<Neg>(x, y, count, a);
    case 1: return each<Square>(x, y, count, a);
    case 2: return each<Sqrt>(x, y, count, a);
    case 3: return each<Rsqrt>(x, y, count, a);
    case 4: return each<Exp>(x, y, count, a);
    case 5: return each<Tanh>(x, y, count, a);
    case 6: return each<Sigmoid>(x, y, count, a);
    case 7: return each<Relu>(x, y, count, a);
    case 8: return each<Abs>(x, y, count, a);
    case 9: return each<Reciprocal>(x, y, count, a);
    case 10: return each<Erf>(x, y, count, a);
    default: return each<Step>(x, y, count, a);
  }
}

// Names for the operations: each<O> is compiled once per O, with the operation chosen at compile time.
class Neg {}
class Square {}
class Sqrt {}
class Rsqrt {}
class Exp {}
class Tanh {}
class Sigmoid {}
class Relu {}
class Abs {}
class Reciprocal {}
class Erf {}
class Step {}

function each<O>(x: usize, y: usize, count: i32, a: v128): void {
  let i = 0;
  for (; i + 4 <= count; i += 4, x += 16, y += 16) v128.store(y, apply<O>(v128.load(x), a));
  for (; i < count; i++, x += 4, y += 4) store<f32>(y, f32x4.extract_lane(apply<O>(v128.load_splat<f32>(x), a), 0));
}

// @ts-ignore: decorator
@inline
function apply<O>(x: v128, a: v128): v128 {
  if (idof<O>() == idof<Neg>()) return f32x4.neg(x);
  if (idof<O>() == idof<Square>()) return f32x4.mul(x, x);
  if (idof<O>() == idof<Sqrt>()) return f32x4.sqrt(x);
  if (idof<O>() == idof<Rsqrt>()) return f32x4.div(splat(1), f32x4.sqrt(x));
  if (idof<O>() == idof<Exp>()) return exp(x);
  if (idof<O>() == idof<Tanh>()) return tanh(x);
  if (idof<O>() == idof<Sigmoid>()) return sigmoid4(x);
  if (idof<O>() == idof<Relu>()) return f32x4.max(x, splat(0));
  if (idof<O>() == idof<Abs>()) return f32x4.abs(x);
  if (idof<O>() == idof<Reciprocal>()) return f32x4.div(splat(1), x);
  if (idof<O>() == idof<Erf>()) return erf(x);
  // Step: 1 where x > 0, a elsewhere, NaN for NaN.
  const positive = v128.bitselect(splat(1), a, f32x4.gt(x, splat(0)));
  return v128.bitselect(positive, x, f32x4.eq(x, x));
}

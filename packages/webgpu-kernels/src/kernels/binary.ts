import type { GpuKernel, GpuKernelCall } from '@evenkeel/core-tensor';
import { Add, Maximum, Minimum, Multiply, RealDiv, SquaredDifference, Sub, type TensorInfo } from '@tensorflow/tfjs-core';
import { broadcaster, type Word } from './broadcast.ts';
import { onStock } from './stock.ts';

/** The first operand that is NaN, else `otherwise`. */
const orNan = (otherwise: string): string => `return select(select(${otherwise}, b, isNan(b)), a, isNan(a));`;

/** Bodies in WGSL: of float32, and of int32 where it differs; none where int32 is tfjs' own affair. */
const BINARY: Readonly<Record<string, { readonly f32: string; readonly i32?: string }>> = {
  [Add]: { f32: 'return a + b;', i32: 'return a + b;' },
  [Sub]: { f32: 'return a - b;', i32: 'return a - b;' },
  [Multiply]: { f32: 'return a * b;', i32: 'return a * b;' },
  [RealDiv]: { f32: 'return a / b;' },
  [Maximum]: { f32: orNan('select(a, b, b > a)'), i32: 'return max(a, b);' },
  [Minimum]: { f32: orNan('select(a, b, b < a)'), i32: 'return min(a, b);' },
  [SquaredDifference]: { f32: 'let d = a - b; return d * d;', i32: 'let d = a - b; return d * d;' },
};

/** Elementwise functions of two tensors of one dtype, float32 or int32, whose shapes broadcast. Others go to tfjs' own kernels. */
export const binaryKernels: readonly GpuKernel[] = Object.entries(BINARY).map(([name, bodies]) => ({ name, run: binary(name, bodies) }));

function binary(name: string, bodies: { readonly f32: string; readonly i32?: string }): GpuKernel['run'] {
  const runs = (word: Word, body?: string) => (body === undefined ? undefined : broadcaster({ name, word, result: word, body }));
  const [onFloats, onIntegers] = [runs('f32', bodies.f32), runs('i32', bodies.i32)];
  return (call: GpuKernelCall): TensorInfo => {
    const { a, b } = call.inputs;
    if (a === undefined || b === undefined || a.dtype !== b.dtype) return onStock(name, call);
    const run = a.dtype === 'float32' ? onFloats : a.dtype === 'int32' ? onIntegers : undefined;
    return run?.(call.backend, a, b, a.dtype) ?? onStock(name, call);
  };
}

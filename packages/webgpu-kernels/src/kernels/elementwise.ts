import type { GpuBackend, GpuKernelCall, GpuProgram } from '@evenkeel/core-tensor';
import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import { sizeOf } from './kernel.ts';

/** INVOCATIONS — of a workgroup of an elementwise program; each handles one vector of four. */
export const INVOCATIONS = 256;

/** overVectors — the uniform `vectors` and the workgroups of an elementwise program over `count` elements. Vectors may end in the padding. */
export function overVectors(backend: GpuBackend, count: number): { vectors: number; groups: [number, number] } {
  const vectors = Math.ceil(count / 4);
  return { vectors, groups: backend.spread(Math.ceil(vectors / INVOCATIONS)) };
}

/** elementwise — runs a program of `x`, `y` and `u.vectors`. */
export function elementwise({ backend }: GpuKernelCall, program: GpuProgram, x: TensorInfo, dtype: DataType, uniforms: Readonly<Record<string, number>> = {}): TensorInfo {
  const y = backend.allocate(x.shape, dtype);
  const { vectors, groups } = overVectors(backend, sizeOf(x));
  backend.dispatch(program, { tensors: { x, y }, uniforms: { ...uniforms, vectors }, groups });
  return y;
}

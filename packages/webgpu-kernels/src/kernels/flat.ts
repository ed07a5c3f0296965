import type { GpuBackend, GpuDispatch, GpuProgram } from '@evenkeel/core-tensor';
import { INVOCATIONS, overVectors } from './elementwise.ts';

/** FLAT_THREADS — the workgroup of programs that see tensors as plain lists of vec4f; the last one may reach into the padding of a buffer. */
export const FLAT_THREADS = INVOCATIONS;

/** launchFlat — one invocation per four of `size` numbers; their count is the uniform `count`, and `index` must be below it. */
export function launchFlat(backend: GpuBackend, program: GpuProgram, size: number, tensors: GpuDispatch['tensors'], uniforms: GpuDispatch['uniforms'] = {}): void {
  const { vectors: count, groups } = overVectors(backend, size);
  backend.dispatch(program, { tensors, uniforms: { ...uniforms, count }, groups });
}

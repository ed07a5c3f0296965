import type { GpuBackend, GpuDispatch, GpuProgram } from '@evenkeel/core-tensor';

/** FLAT_THREADS — the workgroup of programs that see tensors as plain lists of vec4f; the last one may reach into the padding of a buffer. */
export const FLAT_THREADS = 256;

/** launchFlat — one invocation per four of `size` numbers; their count is the uniform `count`, and `index` must be below it. */
export function launchFlat(backend: GpuBackend, program: GpuProgram, size: number, tensors: GpuDispatch['tensors'], uniforms: GpuDispatch['uniforms'] = {}): void {
  const count = Math.ceil(size / 4);
  backend.dispatch(program, { tensors, uniforms: { ...uniforms, count }, groups: backend.spread(Math.ceil(count / FLAT_THREADS)) });
}

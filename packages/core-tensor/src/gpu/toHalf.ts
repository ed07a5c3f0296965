import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import type { GpuBackend } from './backend.ts';
import { gpuProgram } from './program.ts';

/** Four numbers per invocation; beyond ±65504 they become infinite. */
const program = /* @__PURE__ */ gpuProgram({
  name: 'toHalf', bindings: { x: 'read vec4f', y: 'write vec4h' }, uniforms: { vectors: 'u32' }, workgroupSize: 256, enable: ['f16'],
  main: 'if (index < u.vectors) { y[index] = vec4h(x[index]); }',
});

/**
 * toHalf — a copy of a float32 tensor rounded to f16, freed with the kernel; two numbers in each of its 32-bit words, to be bound as
 * `read f16` or `read vec4h`. (A conversion there and back within one program is not sure to round: compilers may leave it out.)
 */
export function toHalf(backend: GpuBackend, x: TensorInfo): TensorInfo {
  const vectors = Math.ceil(util.sizeFromShape(x.shape) / 4);
  const y = backend.temporary([2 * vectors], 'int32');
  backend.dispatch(program, { tensors: { x, y }, uniforms: { vectors }, groups: backend.spread(Math.ceil(vectors / 256)) });
  return y;
}

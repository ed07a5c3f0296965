import { dropThreshold, gpuProgram, WGSL_THREEFRY, type GpuKernel, type StepNumber } from '@evenkeel/core-tensor';
import { FLAT_THREADS, launchFlat } from './flat.ts';
import { given, sizeOf } from './kernel.ts';

/** `evenkeel/dropout`: x → y, attrs rate, key0, key1. The mask is a function of the key, the same as core-tensor's `randomBits`. */
export const dropoutKernels: readonly GpuKernel[] = [{
  name: 'evenkeel/dropout',
  run: (call) => {
    const { attrs, backend } = call;
    const { rate, key0, key1 } = attrs as { rate: number; key0: number | StepNumber; key1: number | StepNumber };
    const x = given(call, 'x');
    const y = backend.allocate(x.shape);
    launchFlat(backend, program, sizeOf(x), { x, y }, { threshold: dropThreshold(rate), factor: 1 / (1 - rate), key0, key1 });
    return y;
  },
}];

/** Four elements per thread are the words of two blocks. A factor of 0 rather than a 0, so that NaN stays NaN. */
const program = gpuProgram({
  name: 'dropout',
  bindings: { x: 'read vec4f', y: 'write vec4f' },
  uniforms: { count: 'u32', threshold: 'u32', factor: 'f32', key0: 'u32', key1: 'u32' },
  workgroupSize: FLAT_THREADS,
  declarations: WGSL_THREEFRY,
  main: /* wgsl */ `
  if (index >= u.count) { return; }
  let key = vec2u(u.key0, u.key1);
  let words = vec4u(threefry2x32(key, vec2u(2u * index, 0u)), threefry2x32(key, vec2u(2u * index + 1u, 0u)));
  y[index] = x[index] * select(vec4f(0.0), vec4f(u.factor), words >= vec4u(u.threshold));`,
});

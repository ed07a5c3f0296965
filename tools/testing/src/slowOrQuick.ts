import { gpuProgram, type GpuBackend } from '@evenkeel/core-tensor';
import { backend } from '@tensorflow/tfjs-core';

const spin = gpuProgram({
  name: 'spin', bindings: { x: 'write f32' }, uniforms: { times: 'u32' }, workgroupSize: 32,
  main: 'var y = 0.5; for (var i = 0u; i < u.times; i += 1u) { y = 3.7 * y * (1.0 - y); } x[index] = y;',
});

/** slowOrQuick — what the active WebGPU device chooses of two ways to do the same; the first takes far longer. Their class is `spin@1 all`. */
export function slowOrQuick(): string {
  const gpu = backend() as unknown as GpuBackend;
  const trial = (name: string): void => gpu.dispatch(spin, { tensors: { x: gpu.temporary([1024]) }, uniforms: { times: name === 'slow' ? 200_000 : 10 }, groups: [32] });
  return gpu.choose({ family: 'spin', version: 1, key: 'all', candidates: ['slow', 'quick'], trial });
}

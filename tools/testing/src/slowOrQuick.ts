import { backend, type TensorInfo } from '@tensorflow/tfjs-core';

/** What of core-tensor's GpuBackend and programs is needed here, where nothing may import core-tensor: it changes tfjs. */
type Gpu<P> = {
  dispatch(program: P, launch: { tensors: Record<string, TensorInfo>; uniforms: Record<string, number>; groups: [number] }): void;
  temporary(shape: number[]): TensorInfo;
  choose(choice: { family: string; version: number; key: string; candidates: string[]; trial: (name: string) => void }): string;
};
type MakeProgram<P> = (spec: { name: string; bindings: { x: 'write f32' }; uniforms: { times: 'u32' }; workgroupSize: number; main: string }) => P;

/**
 * slowOrQuick — what the active WebGPU device chooses of two ways to do the same; the first takes far longer. Their class is `spin@1 all`.
 *
 * @param gpuProgram  that of core-tensor.
 */
export function slowOrQuick<P>(gpuProgram: MakeProgram<P>): string {
  const gpu = backend() as unknown as Gpu<P>;
  const trial = (name: string): void => gpu.dispatch(gpuProgram({
    name: 'spin', bindings: { x: 'write f32' }, uniforms: { times: 'u32' }, workgroupSize: 32,
    main: 'var y = 0.5; for (var i = 0u; i < u.times; i += 1u) { y = 3.7 * y * (1.0 - y); } x[index] = y;',
  }), { tensors: { x: gpu.temporary([1024]) }, uniforms: { times: name === 'slow' ? 200_000 : 10 }, groups: [32] });
  return gpu.choose({ family: 'spin', version: 1, key: 'all', candidates: ['slow', 'quick'], trial });
}

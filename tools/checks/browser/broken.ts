/** What a page sees of what cannot be done: a shader that does not compile, whose errors come as events after the call that caused them, and a synchronous reading. */
import { gpuProgram, useDevice, type GpuBackend } from '@evenkeel/core-tensor';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { add, backend, engine, tensor1d } from '@tensorflow/tfjs-core';

const broken = gpuProgram({ name: 'brokenOnPurpose', bindings: { x: 'read f32', y: 'write f32' }, workgroupSize: 1, main: 'y[0] = nonsense;' });

/** brokenShader — the message that a reading after such a shader throws, or the values that it gives in error. */
export async function brokenShader(): Promise<string> {
  await useDevice('webgpu', [webgpu()]);
  const gpu = backend() as unknown as GpuBackend;
  const x = tensor1d([1, 2]);
  const y = gpu.allocate([1]);
  try {
    gpu.dispatch(broken, { tensors: { x, y }, groups: [1] });
    return `no error, but values: ${[...await engine().makeTensorFromTensorInfo(y).data()]}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** whyNot — what `useDevice('webgpu', …)` says where there is no WebGPU. */
export async function whyNot(): Promise<string> {
  return useDevice('webgpu', [webgpu()]).then(() => 'nothing: there is a device', (error: unknown) => (error instanceof Error ? error.message : String(error)));
}

/** readAtOnce — the message that `dataSync()` of a tensor on the GPU throws, or the values that it gives; then those that `await data()` gives. */
export async function readAtOnce(): Promise<[atOnce: string, awaited: string]> {
  await useDevice('webgpu', [webgpu()]);
  const x = add(tensor1d([1, 2, 3]), 1);
  let atOnce: string;
  try {
    atOnce = `no error, but values: ${[...x.dataSync()]}`;
  } catch (error) {
    atOnce = error instanceof Error ? error.message : String(error);
  }
  return [atOnce, String([...await x.data()])];
}

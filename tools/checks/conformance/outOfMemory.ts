/** What a tensor as large as the device can bind comes to where there is no memory for it: as one line of JSON, its values or the errors. */
import { useDevice, type GpuBackend } from '@evenkeel/core-tensor';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { add, backend, fill, tensor1d, type Tensor } from '@tensorflow/tfjs-core';

async function outcomeOf(f: () => Tensor): Promise<string> {
  try {
    return `values: ${[...await f().data()].slice(0, 2)}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

await useDevice('webgpu', [webgpu()]);
const { limits } = backend() as unknown as GpuBackend;
const large = await outcomeOf(() => fill([limits.maxStorageBufferBindingSize / 4], 3));
const next = await outcomeOf(() => add(tensor1d([1]), 1));
process.stdout.write(`${JSON.stringify({ large, next })}\n`);
process.exit(0);

/**
 * record — CPU time to record one launch, in µs: 2000 launches of each kernel without waiting for the device.
 *
 *     node --conditions=@evenkeel/source packages/webgpu-kernels/bench/record.ts
 *
 * `kernel` is the kernel function alone, `op` the tfjs operation around it (engine, tape, tensors). Tensors are small, so that a
 * software adapter keeps up; the best of several rounds counts, as the device's own threads may take the core away.
 */
import { gpuProgram, type GpuBackend } from '@evenkeel/core-tensor';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { add, backend, engine, getKernel, setBackend, sum, tensor, transpose, type NamedTensorMap, type Tensor, type TensorInfo } from '@tensorflow/tfjs-core';

const LAUNCHES = 2000;
const ROUNDS = 15;

const provider = webgpu();
await provider.create();
await setBackend(provider.backendName);

type Gpu = GpuBackend & { disposeData(dataId: object): boolean; read(dataId: object): Promise<unknown> };
const gpu = backend() as unknown as Gpu;

const onGpu = (x: Tensor): Tensor => add(x, 0);
const vector = onGpu(tensor(new Float32Array(256).fill(1)));
const matrix = onGpu(tensor(new Float32Array(256).fill(1), [16, 16]));

/** Best time of a round, per launch. */
async function time(name: string, f: () => void): Promise<void> {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let i = 0; i < LAUNCHES; i++) f();
    best = Math.min(best, performance.now() - start);
    await gpu.read(vector.dataId);
  }
  console.log(`${name.padEnd(34)} ${((best * 1000) / LAUNCHES).toFixed(2)} µs`);
}

/** The kernel function of a registered kernel; its results are freed. */
function kernel(name: string, inputs: Record<string, TensorInfo>, attrs: object = {}): () => void {
  const { kernelFunc } = getKernel(name, provider.backendName) as NonNullable<ReturnType<typeof getKernel>>;
  return () => {
    const results = [kernelFunc({ inputs: inputs as NamedTensorMap, attrs: attrs as never, backend: gpu })].flat();
    for (const { dataId } of results) gpu.disposeData(dataId);
  };
}

const copy = gpuProgram({
  name: 'copy', bindings: { x: 'read f32', y: 'write f32' }, uniforms: { count: 'u32' }, workgroupSize: 256, main: 'if (index < u.count) { y[index] = x[index]; }',
});
const target = onGpu(vector);

await time('dispatch', () => gpu.dispatch(copy, { tensors: { x: vector, y: target }, uniforms: { count: 256 }, groups: [1] }));
await time('allocate and free', () => gpu.disposeData(gpu.allocate([256]).dataId));
await time('kernel Add, equal shapes', kernel('Add', { a: vector, b: vector }));
await time('kernel Add, a row', kernel('Add', { a: matrix, b: onGpu(tensor(new Float32Array(16))) }));
await time('kernel Exp', kernel('Exp', { x: vector }));
await time('kernel Sum', kernel('Sum', { x: matrix }, { axis: [1], keepDims: false }));
await time('kernel Transpose', kernel('Transpose', { x: matrix }, { perm: [1, 0] }));
await time('kernel evenkeel/addScaled', kernel('evenkeel/addScaled', { 'x.0': target, 'y.0': vector }, { a: 1, b: 0 }));
await time('op add', () => add(vector, vector).dispose());
await time('op sum', () => sum(matrix, 1).dispose());
await time('op transpose', () => transpose(matrix).dispose());
engine().disposeVariables();
process.exit(0);

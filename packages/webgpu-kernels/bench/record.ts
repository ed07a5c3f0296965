/**
 * record — CPU time to record one launch, in µs: 2000 launches of each kernel without waiting for the device.
 *
 *     node --conditions=@evenkeel/source packages/webgpu-kernels/bench/record.ts
 *
 * `kernel` is the kernel function alone, `op` the tfjs operation around it (engine, tape, tensors). Counted is the time that this
 * thread computed: what the device's own threads, or other programs, take is not in it.
 */
import { gpuProgram, type GpuBackend } from '@evenkeel/core-tensor';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { add, backend, engine, getKernel, setBackend, sum, tensor, transpose, type NamedTensorMap, type Tensor, type TensorInfo } from '@tensorflow/tfjs-core';

const LAUNCHES = 2000;
const ROUNDS = 15;
const WARM_UP = 3;

const provider = webgpu();
await provider.create();
await setBackend(provider.backendName);

type Gpu = GpuBackend & { disposeData(dataId: object): boolean; read(dataId: object): Promise<unknown> };
const gpu = backend() as unknown as Gpu;

const onGpu = (x: Tensor): Tensor => add(x, 0);
const vector = onGpu(tensor(new Float32Array(256).fill(1)));
const matrix = onGpu(tensor(new Float32Array(256).fill(1), [16, 16]));

/** Mean over the rounds, but for the first ones, per launch. */
async function time(name: string, f: () => void, launches = LAUNCHES): Promise<void> {
  let total = 0;
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const start = process.threadCpuUsage();
    for (let i = 0; i < launches; i++) f();
    const { user, system } = process.threadCpuUsage(start);
    if (round >= 0) total += user + system;
    await gpu.read(vector.dataId);
  }
  console.log(`${name.padEnd(34)} ${(total / (ROUNDS * launches)).toFixed(2)} µs`);
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
const small = (name: string): Record<string, Tensor> => Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`${name}.${i}`, onGpu(tensor([1, 2, 3]))]));
const lists = { ...small('param'), ...small('grad'), ...small('mu'), ...small('nu') };
const adam = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, correction1: 0.1, correction2: 0.001, weightDecays: Array.from({ length: 50 }, () => 0.1) };
await time('kernel evenkeel/adamw, 50 tensors', kernel('evenkeel/adamw', lists, adam), 100);
await time('kernel evenkeel/globalNorm, 50', kernel('evenkeel/globalNorm', small('x')), 100);
await time('op add', () => add(vector, vector).dispose());
await time('op sum', () => sum(matrix, 1).dispose());
await time('op transpose', () => transpose(matrix).dispose());
engine().disposeVariables();
process.exit(0);

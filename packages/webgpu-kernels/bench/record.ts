/**
 * record — what the main thread spends to record one launch, in µs, without waiting for the device:
 *
 *     node --conditions=@evenkeel/source packages/webgpu-kernels/bench/record.ts
 *
 * `dispatch` is one call of it, `kernel` the kernel function around it, `op` the tfjs operation around that (engine, tape, tensors), all
 * with their share of handing commands over. `step` is the training step of a perceptron, by its launches: eager with its tape, and replayed
 * as a captured step. `wall` is the median round by the clock, `CPU` the mean of what this thread computed, which the clock of some
 * machines knows only to 4 ms; neither counts what the device's own threads do, but by the clock they can be in the way.
 *
 * What tfjs' own backend and jax-js need for an `op add`: `pnpm bench:peers --device webgpu --only record`.
 */
import { captureStep, gpuProgram, valueAndGrad, type GpuBackend } from '@evenkeel/core-tensor';
import { webgpu } from '@evenkeel/webgpu-kernels';
import {
  add, backend, engine, getKernel, matMul, mean, mul, setBackend, square, sub, sum, tanh, tensor, transpose, variable,
  type NamedTensorMap, type Tensor, type Tensor2D, type TensorInfo, type Variable,
} from '@tensorflow/tfjs-core';

const LAUNCHES = 1000;
const ROUNDS = 40;
const WARM_UP = 5;
const STEPS = 10;
/** Layers of the perceptron. */
const DEPTH = 16;

const provider = webgpu();
await provider.create();
await setBackend(provider.backendName);

type Gpu = GpuBackend & { disposeData(dataId: object): boolean; read(dataId: object): Promise<unknown> };
const gpu = backend() as unknown as Gpu;

const onGpu = (x: Tensor): Tensor => add(x, 0);
const vector = onGpu(tensor(new Float32Array(256).fill(1)));
const matrix = onGpu(tensor(new Float32Array(256).fill(1), [16, 16]));

/** Calls `f` `calls` times per round, each of which makes `launches`, and prints what a launch took. */
async function time(name: string, f: () => void, calls = LAUNCHES, launches = 1): Promise<void> {
  const walls: number[] = [];
  let cpu = 0;
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const [begin, start] = [process.threadCpuUsage(), performance.now()];
    for (let i = 0; i < calls; i++) f();
    const wall = performance.now() - start;
    const { user, system } = process.threadCpuUsage(begin);
    await gpu.read(vector.dataId);
    if (round < 0) continue;
    walls.push(wall);
    cpu += user + system;
  }
  const median = walls.sort((a, b) => a - b)[ROUNDS >> 1] as number;
  const count = calls * launches;
  console.log(`${name.padEnd(40)} ${((1000 * median) / count).toFixed(2).padStart(7)} ${(cpu / (ROUNDS * count)).toFixed(2).padStart(7)}`);
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

console.log(`${'µs per launch'.padEnd(43)} wall     CPU`);
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

const layers = Array.from({ length: DEPTH }, (_, i) => variable(onGpu(tensor(new Float32Array(256).fill(0.01 * i), [16, 16])) as Tensor2D));
const perceptron = ({ x }: { x: Tensor2D }): Tensor => {
  const { value, grads } = valueAndGrad((weights: Variable[]) => {
    const y = weights.reduce((h, w) => tanh(matMul(h, w as Tensor as Tensor2D)), x);
    return mean(square(sub(y, x)));
  }, layers);
  layers.forEach((w, i) => w.assign(sub(w, mul(grads[i] as Tensor, 0.1)) as never));
  return value;
};
const step = captureStep(perceptron);
const x = matrix as Tensor2D;
for (let i = 0; i < 4; i++) step({ x }).dispose();
const status = step.status();
if (status.state !== 'captured') throw new Error(`record: the step must be captured, got ${JSON.stringify(status)}`);
const { launches } = status;
// Without the copies of assigned variables, of which an eager step has none.
await time(`step of ${launches - DEPTH} launches, eager`, () => engine().tidy(() => void perceptron({ x })), STEPS, launches - DEPTH);
await time(`step of ${launches} launches, replayed`, () => step({ x }).dispose(), STEPS, launches);
step.dispose();
engine().disposeVariables();
process.exit(0);

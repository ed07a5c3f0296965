/** jax-js on WASM or WebGPU as a contender of `pnpm bench:peers`; the argument: the device. Its arrays are counted by hand: `ref` is one more use of an array. */
import { createRequire } from 'node:module';
import { blockUntilReady, defaultDevice, getWebGPUDevice, grad, init, jit, nn, numpy as np } from '@jax-js/jax';
import { gptStep } from './jaxJsGpt.ts';
import { serve, type Run, type Work } from './serve.ts';
import { ATTENTION, RECORD, checkAttention, checkProduct, uniform } from './workloads.ts';

const device = process.argv[2] === 'webgpu' ? 'webgpu' : 'wasm';
const gpu = device === 'webgpu' ? await import('./gpu.ts') : undefined;
gpu?.openDawn(); // jax-js looks for it when it starts
const watchPeak = gpu?.watchDeviceMemory();
await init(device);
defaultDevice(device);
const where = gpu === undefined ? 'WASM' : `WebGPU, ${await gpu.adapterName()}`;
await serve(`jax-js ${version()}, ${where}; AdamW by hand`, { product, attention, gptStep, record }, { watchPeak, check: gpu?.checkDevice });

/** done — resolves when the device has computed these arrays. */
async function done<T>(arrays: T): Promise<T> {
  await blockUntilReady(arrays as never);
  if (gpu !== undefined) await getWebGPUDevice().queue.onSubmittedWorkDone();
  return arrays;
}

/** jax-js hands its launches over when something is waited for, all in one go: what comes after the last of them does not count. */
async function record(): Promise<Work> {
  const { checkLaunches, launchesOver } = await import('./gpu.ts');
  const { launches, size } = RECORD;
  const plusOne = jit((x: np.Array) => x.add(1));
  let x = np.array(uniform(size, 1, 0, 1));
  const run = async (): Promise<void> => {
    for (let i = 0; i < launches; i++) x = plusOne(x);
    const over = launchesOver(launches);
    void blockUntilReady(x);
    await over;
  };
  const settle = async (): Promise<void> => void await done(x);
  await settle();
  await checkLaunches(run, settle, launches);
  return { run, settle };
}

/** The package does not export its package.json, so it is found next to the file that it does export. */
function version(): string {
  const require = createRequire(import.meta.url);
  return (require(require.resolve('@jax-js/jax').replace(/dist.*/, 'package.json')) as { version: string }).version;
}

async function product(size: number): Promise<Run> {
  const [x, y] = [uniform(size * size, 1, 0, 1), uniform(size * size, 2, 0, 1)];
  const [a, b] = [np.array(x).reshape([size, size]), np.array(y).reshape([size, size])];
  const multiply = jit((left: np.Array, right: np.Array) => np.matmul(left, right));
  checkProduct(x, y, await multiply(a.ref, b.ref).data(), size);
  return async () => { (await done(multiply(a.ref, b.ref))).dispose(); };
}

async function attention(): Promise<Run> {
  const { tokens, heads, headDim } = ATTENTION;
  const width = heads * headDim;
  const inputs = [1, 2, 3].map((seed) => uniform(tokens * width, seed, -1, 1)) as [Float32Array<ArrayBuffer>, Float32Array<ArrayBuffer>, Float32Array<ArrayBuffer>];
  const [q, k, v] = inputs.map((values) => np.array(values).reshape([1, tokens, heads, headDim])) as [np.Array, np.Array, np.Array];
  const forward = (a: np.Array, b: np.Array, c: np.Array): np.Array => nn.dotProductAttention(a, b, c, { isCausal: true });
  const backward = jit(grad((a: np.Array, b: np.Array, c: np.Array) => forward(a, b, c).sum(), { argnums: [0, 1, 2] }));
  const y = await jit(forward)(q.ref, k.ref, v.ref).data();
  const found = backward(q.ref, k.ref, v.ref) as np.Array[];
  checkAttention(...inputs, y, await (found[2] as np.Array).ref.data(), (token) => token * width);
  found.forEach((each) => each.dispose());
  return async () => {
    const result = await done(backward(q.ref, k.ref, v.ref) as np.Array[]);
    result.forEach((each) => each.dispose());
  };
}

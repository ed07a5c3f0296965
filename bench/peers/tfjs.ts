/**
 * TensorFlow.js' own WASM or WebGPU backend as a contender of `pnpm bench:peers`, in plain tfjs operations. The argument: the device.
 *
 * The gradients are those of `@evenkeel/core-tensor`, which registers them when it is loaded: tfjs' own come with its umbrella
 * package only. The walk over the tape and the optimiser are tfjs' own.
 */
import {
  add, env, grads as gradsOf, matMul, mul, ready, setBackend, softmax, tensor3d, tidy, type Tensor, type Tensor3D,
} from '@tensorflow/tfjs-core';
import '@evenkeel/core-tensor';
import { serve, type Run, type Watches } from './serve.ts';
import { causalMask, gptStep } from './tfjsGpt.ts';
import { product, record, settled } from './tfjsProduct.ts';
import { ATTENTION, checkAttention, uniform } from './workloads.ts';

const { about, ...watches } = await (process.argv[2] === 'webgpu' ? startWebgpu() : startWasm());
await serve(`${about}; Adam, since tfjs has no AdamW`, { product, attention, gptStep, record }, watches);

type Started = Watches & { readonly about: string };

async function start(name: string): Promise<void> {
  if (!(await setBackend(name))) throw new Error(`the backend ${name} of tfjs did not start`);
  await ready();
}

async function startWasm(): Promise<Started> {
  const { getThreadsCount, version_wasm: version } = await import('@tensorflow/tfjs-backend-wasm');
  await start('wasm');
  const simd = (await env().getAsync('WASM_HAS_SIMD_SUPPORT')) ? 'SIMD' : 'no SIMD';
  return { about: `tfjs-backend-wasm ${version}, ${simd}, ${threads(getThreadsCount)} thread(s)` };
}

/** On a device that tfjs' own factory asks for. */
async function startWebgpu(): Promise<Started> {
  const { adapterName, checkDevice, openDawn, watchDeviceMemory } = await import('./gpu.ts');
  openDawn();
  const watchPeak = watchDeviceMemory();
  await import('@tensorflow/tfjs-backend-webgpu');
  await start('webgpu');
  return { about: `tfjs-backend-webgpu, ${await adapterName()}`, watchPeak, check: checkDevice };
}

/** tfjs starts its threaded binary in browsers only; without it there is no count to ask for. */
function threads(count: () => number): number {
  try {
    return Math.max(1, count());
  } catch {
    return 1;
  }
}

/** Heads first: tfjs has no attention of its own, and its batched product wants them there. */
async function attention(): Promise<Run> {
  const { tokens, heads, headDim } = ATTENTION;
  const inputs = [1, 2, 3].map((seed) => uniform(heads * tokens * headDim, seed, -1, 1)) as [Float32Array, Float32Array, Float32Array];
  const [q, k, v] = inputs.map((values) => tensor3d(values, [heads, tokens, headDim])) as [Tensor3D, Tensor3D, Tensor3D];
  const mask = causalMask(tokens);
  const forward = (...[a, b, c]: Tensor[]): Tensor =>
    matMul(softmax(add(mul(matMul(a as Tensor, b as Tensor, false, true), 1 / Math.sqrt(headDim)), mask)), c as Tensor);
  const backward = gradsOf(forward);
  const y = tidy(() => forward(q, k, v));
  const found = tidy(() => backward([q, k, v]));
  checkAttention(...inputs, await y.data(), await (found[2] as Tensor).data(), (token) => token * headDim);
  return async () => {
    tidy(() => void backward([q, k, v]));
    await settled();
  };
}

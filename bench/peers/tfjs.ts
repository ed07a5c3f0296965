/**
 * TensorFlow.js' own WASM backend as a contender of `pnpm bench:peers`, in plain tfjs operations.
 *
 * The gradients are those of `@evenkeel/core-tensor`, which registers them when it is loaded: tfjs' own come with its umbrella
 * package only. The walk over the tape and the optimiser are tfjs' own.
 */
import {
  add, env, grads as gradsOf, matMul, mul, ready, setBackend, softmax, tensor3d, tidy, type Tensor, type Tensor3D,
} from '@tensorflow/tfjs-core';
import { getThreadsCount, version_wasm as version } from '@tensorflow/tfjs-backend-wasm';
import '@evenkeel/core-tensor';
import { serve, type Run } from './serve.ts';
import { causalMask, trainingStep } from './tfjsGpt.ts';
import { product } from './tfjsProduct.ts';
import { ATTENTION, checkAttention, uniform } from './workloads.ts';

if (!(await setBackend('wasm'))) throw new Error('the WASM backend of tfjs did not start');
await ready();
const simd = (await env().getAsync('WASM_HAS_SIMD_SUPPORT')) ? 'SIMD' : 'no SIMD';
await serve(`tfjs-backend-wasm ${version}, ${simd}, ${threads()} thread(s); Adam, since tfjs has no AdamW`, { product, attention, trainingStep });

/** tfjs starts its threaded binary in browsers only; without it there is no count to ask for. */
function threads(): number {
  try {
    return Math.max(1, getThreadsCount());
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
  return async () => { tidy(() => void backward([q, k, v])); };
}

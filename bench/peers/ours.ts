/** Evenkeel on WASM as a contender of `pnpm bench:peers`. The argument: threads. */
import { dispose, ones, ready, setBackend, tensor2d, tensor4d, tidy, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import { gpt } from '@evenkeel/models-gpt';
import { adamw, applyUpdates, chain, clipByGlobalNorm } from '@evenkeel/optimizers';
import { BACKEND_NAME, createWasmBackend } from '@evenkeel/wasm-kernels';
import { serve, type Run } from './serve.ts';
import { product } from './tfjsProduct.ts';
import { ADAM, ATTENTION, checkAttention, tokenIds, uniform, type GptSizes } from './workloads.ts';

const { runtime } = await createWasmBackend({ threads: Number(process.argv[2]) });
await setBackend(BACKEND_NAME);
await ready();
await serve(`Evenkeel, ${runtime.variant} SIMD, ${runtime.pool.threads} thread(s)`, { product, attention, trainingStep }, watchPeak);

function watchPeak(): () => number {
  const { bytesInUse } = runtime.heap.statistics();
  runtime.heap.resetPeak();
  return () => runtime.heap.statistics().peakBytes - bytesInUse;
}

function trainingStep({ batchSize, ...sizes }: GptSizes): Run {
  const model = gpt({ ...sizes, activation: 'gelu' }); // the exact form, as the others have it
  const params = model.init({ seed: 1 });
  const { learningRate, beta2, weightDecay } = ADAM;
  const optimizer = chain(clipByGlobalNorm(1), adamw({ learningRate, beta2, weightDecay }));
  const state = optimizer.init(params);
  const [inputs, targets] = [1, 2].map((seed) => tensor2d(tokenIds({ batchSize, ...sizes }, seed), [batchSize, sizes.contextLength], 'int32'));
  const batch = { inputs, targets } as { inputs: Tensor2D; targets: Tensor2D };
  return async () => {
    const loss = tidy(() => {
      const { value, grads } = valueAndGrad((p: typeof params) => model.loss(batch, p, { train: true, seed: 1 }), params);
      applyUpdates(params, optimizer.update(grads, state, params));
      return value;
    });
    const [value] = await loss.data();
    loss.dispose();
    return value as number;
  };
}

async function attention(): Promise<Run> {
  const { tokens, heads, headDim } = ATTENTION;
  const width = heads * headDim;
  const inputs = [1, 2, 3].map((seed) => uniform(tokens * width, seed, -1, 1)) as [Float32Array, Float32Array, Float32Array];
  const [q, k, v] = inputs.map((values) => tensor4d(values, [1, tokens, heads, headDim])) as [Tensor, Tensor, Tensor];
  const dy = ones(q.shape);
  const both = () => vjp(() => flashAttention(q, k, v, { causal: true }), [q, k, v], dy);
  const { value, grads } = both();
  checkAttention(...inputs, await value.data(), await (grads[2] as Tensor).data(), (token) => token * width);
  dispose([value, ...grads]);
  return async () => {
    const result = both();
    dispose([result.value, ...result.grads]);
  };
}

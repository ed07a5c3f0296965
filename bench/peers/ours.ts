/** Evenkeel on WASM or WebGPU as a contender of `pnpm bench:peers`. The arguments: `wasm` and the threads, or `webgpu` and `eager` or `captured`. */
import { add, dispose, ones, ready, setBackend, tensor1d, tensor2d, tensor4d, tidy, type Scalar, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { captureStep, useDevice, valueAndGrad, vjp, type ApplyOptions, type Params, type Tree } from '@evenkeel/core-tensor';
import { flashAttention, type FlashAttentionOptions } from '@evenkeel/flash-attention';
import { bert, bertWithHead, maskedLmHead, type HeadedParams } from '@evenkeel/models-bert';
import { gpt } from '@evenkeel/models-gpt';
import { vit } from '@evenkeel/models-vit';
import { adamw, applyUpdates, chain, clipByGlobalNorm } from '@evenkeel/optimizers';
import { serve, type Run, type Watches, type Work } from './serve.ts';
import { product, record as recordOps, settled } from './tfjsProduct.ts';
import { ADAM, ATTENTION, checkAttention, LONG_ATTENTION, RECORD, tokenIds, uniform, type BertSizes, type GptSizes, type VitSizes } from './workloads.ts';

/** The first ones compile and choose among kernels. */
const TRACED_RUNS = 5;

const { about, ...watches } = await (process.argv[2] === 'webgpu' ? startWebgpu() : startWasm(Number(process.argv[3])));
await serve(`Evenkeel, ${about}`, { product, attention, gptStep, vitStep, bertStep, longAttention, record: process.argv[3] === 'captured' ? recordReplay : recordOps }, watches);

async function startWasm(threads: number): Promise<Watches & { about: string }> {
  const { BACKEND_NAME, createWasmBackend, wasmFeatures } = await import('@evenkeel/wasm-kernels');
  const { runtime } = await createWasmBackend({ threads, simd: wasmFeatures().wideSimd ? 'wide' : 'auto' });
  await setBackend(BACKEND_NAME);
  await ready();
  const watchPeak = (): (() => number) => {
    const { bytesInUse } = runtime.heap.statistics();
    runtime.heap.resetPeak();
    return () => runtime.heap.statistics().peakBytes - bytesInUse;
  };
  return { about: `${runtime.variant} SIMD, ${runtime.pool.threads} thread(s)`, watchPeak };
}

async function startWebgpu(): Promise<Watches & { about: string }> {
  const { adapterName, checkDevice, openDawn, watchDeviceMemory } = await import('./gpu.ts');
  openDawn();
  const watchPeak = watchDeviceMemory();
  const { webgpu } = await import('@evenkeel/webgpu-kernels');
  await useDevice('webgpu', [webgpu()]);
  return { about: await adapterName(), watchPeak, check: checkDevice };
}

/** repeatedly — the step as it is timed: its JavaScript runs every time, or the device replays it. */
function repeatedly<I extends Tree<Tensor>>(step: (inputs: I) => Scalar): (inputs: I) => Scalar {
  if (process.argv[3] !== 'captured') return (inputs) => tidy(() => step(inputs));
  const captured = captureStep(step);
  let runs = 0;
  return (inputs) => {
    const loss = captured(inputs, {});
    const status = captured.status();
    if (++runs > TRACED_RUNS && status.state !== 'captured') throw new Error(`the step must be captured after ${TRACED_RUNS} runs, is ${status.state}`);
    return loss;
  };
}

function gptStep({ batchSize, ...sizes }: GptSizes): Run {
  const model = gpt({ ...sizes, activation: 'gelu' }); // the exact form, as the others have it
  const [inputs, targets] = [1, 2].map((seed) => tensor2d(tokenIds({ batchSize, ...sizes }, seed), [batchSize, sizes.contextLength], 'int32')) as [Tensor2D, Tensor2D];
  return trainingStep(model, { inputs, targets });
}

function vitStep({ batchSize, ...sizes }: VitSizes): Run {
  const { imageSize, numClasses } = sizes;
  const images = tensor4d(uniform(batchSize * imageSize * imageSize * 3, 1, -1, 1), [batchSize, imageSize, imageSize, 3]);
  return trainingStep(vit(sizes), { images, targets: tensor1d(Int32Array.from(uniform(batchSize, 2, 0, numClasses)), 'int32') });
}

/** Sequences of full length, as PyTorch has them: nothing is padded. */
function bertStep({ batchSize, masked, ...sizes }: BertSizes): Run {
  const { contextLength, vocabSize } = sizes;
  const rows = Int32Array.from({ length: batchSize * masked }, (_, i) => Math.floor(i / masked) * contextLength + (i % masked) * Math.floor(contextLength / masked));
  const ids = tensor2d(tokenIds({ batchSize, ...sizes }, 1), [batchSize, contextLength], 'int32');
  const labels = tensor1d(Int32Array.from(uniform(rows.length, 2, 0, vocabSize)), 'int32');
  const { init, loss } = bertWithHead(bert(sizes), maskedLmHead());
  const batch = { ids, rows: tensor1d(rows, 'int32'), labels };
  return trainingStep({ init, loss: (given: typeof batch, params: HeadedParams, options) => loss(given, params, options) }, batch);
}

type Trained<P, B> = {
  init(options: { seed: number }): Params & P;
  loss(batch: B, params: P, options: ApplyOptions): Tensor;
};

/** Forward, backward, clipping and AdamW; the loss is awaited. */
function trainingStep<P, B extends Tree<Tensor>>(model: Trained<P, B>, batch: B): Run {
  const params = model.init({ seed: 1 });
  const { learningRate, beta2, weightDecay } = ADAM;
  const optimizer = chain(clipByGlobalNorm(1), adamw({ learningRate, beta2, weightDecay }));
  const state = optimizer.init(params);
  const step = repeatedly((given: B) => {
    const { value, grads } = valueAndGrad((p: typeof params) => model.loss(given, p, { train: true, seed: 1 }) as Scalar, params);
    applyUpdates(params, optimizer.update(grads, state, params));
    return value;
  });
  return async () => {
    const loss = step(batch);
    const [value] = await loss.data();
    loss.dispose();
    return value as number;
  };
}

async function attention(): Promise<Run> {
  const width = ATTENTION.heads * ATTENTION.headDim;
  const { inputs, both } = attentionOf(ATTENTION, { causal: true });
  const { value, grads } = both();
  checkAttention(...inputs, await value.data(), await (grads[2] as Tensor).data(), (token) => token * width);
  dispose([value, ...grads]);
  return timedAttention(both);
}

function longAttention(isWindowed: boolean): Run {
  const { window } = LONG_ATTENTION;
  return timedAttention(attentionOf(LONG_ATTENTION, isWindowed ? { causal: true, window: [window - 1, 0] } : { causal: true }).both);
}

type Triple<T> = [T, T, T];

/** Output and gradients of attention on random inputs, for a gradient of ones. */
function attentionOf({ tokens, heads, headDim }: { tokens: number; heads: number; headDim: number }, options: Pick<FlashAttentionOptions, 'causal' | 'window'>) {
  const inputs = [1, 2, 3].map((seed) => uniform(tokens * heads * headDim, seed, -1, 1)) as Triple<Float32Array>;
  const [q, k, v] = inputs.map((values) => tensor4d(values, [1, tokens, heads, headDim])) as Triple<Tensor>;
  const dy = ones(q.shape);
  return { inputs, both: () => vjp(() => flashAttention(q, k, v, options), [q, k, v], dy) };
}

function timedAttention(both: ReturnType<typeof attentionOf>['both']): Run {
  return async () => {
    const { value, grads } = both();
    dispose([value, ...grads]);
    await settled();
  };
}

/** As many launches as the others make, in one captured step. */
async function recordReplay(): Promise<Work> {
  const { checkLaunches } = await import('./gpu.ts');
  const { launches, size } = RECORD;
  const x = tensor1d(uniform(size, 1, 0, 1));
  const step = repeatedly(({ given }: { given: Tensor }) => {
    let y = given;
    for (let i = 0; i < launches; i++) y = add(y, 1);
    return y as Scalar;
  });
  const run = async (): Promise<void> => void step({ given: x }).dispose();
  for (let i = 0; i <= TRACED_RUNS; i++) await run();
  await settled();
  await checkLaunches(run, settled, launches);
  return { run, settle: settled };
}

/** Evenkeel on WASM as a contender of `pnpm bench:peers`: one JSON request per line in, the times in ms out. The argument: threads. */
import { createInterface } from 'node:readline';
import { dispose, matMul, ones, ready, setBackend, tensor2d, tensor4d, tidy, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { uniformValues, valueAndGrad, vjp } from '@evenkeel/core-tensor';
import { flashAttention } from '@evenkeel/flash-attention';
import { gpt } from '@evenkeel/models-gpt';
import { adamw, applyUpdates, chain, clipByGlobalNorm } from '@evenkeel/optimizers';
import { BACKEND_NAME, createWasmBackend } from '@evenkeel/wasm-kernels';

const SIZES = {
  reference: { batchSize: 12, vocabSize: 65, contextLength: 64, depth: 4, dim: 128, numHeads: 4 },
  'gpt-10m': { batchSize: 8, vocabSize: 65, contextLength: 256, depth: 6, dim: 384, numHeads: 6 },
} as const;

await createWasmBackend({ threads: Number(process.argv[2]) });
await setBackend(BACKEND_NAME);
await ready();
const made = new Map<string, () => Promise<void>>();
for await (const line of createInterface({ input: process.stdin })) {
  const { workload, warmup, samples } = JSON.parse(line) as { workload: string; warmup: number; samples: number };
  const run = made.get(workload) ?? make(workload);
  made.set(workload, run);
  const times: number[] = [];
  for (let i = 0; i < warmup + samples; i++) {
    const start = performance.now();
    await run();
    if (i >= warmup) times.push(performance.now() - start);
  }
  process.stdout.write(`${JSON.stringify({ times, version: process.version })}\n`);
}
process.exit(0);

function make(name: string): () => Promise<void> {
  if (name.startsWith('matmul-')) return product(Number(name.split('-')[1]));
  return name === 'attention' ? attention() : trainingStep(SIZES[name as keyof typeof SIZES]);
}

function trainingStep({ batchSize, ...sizes }: (typeof SIZES)[keyof typeof SIZES]): () => Promise<void> {
  const model = gpt(sizes);
  const params = model.init({ seed: 1 });
  const optimizer = chain(clipByGlobalNorm(1), adamw({ learningRate: 1e-3, weightDecay: 0.1 }));
  const state = optimizer.init(params);
  const count = batchSize * sizes.contextLength;
  const ids = (seed: number): Tensor2D =>
    tensor2d(Int32Array.from(uniformValues(count, seed, 0, sizes.vocabSize)), [batchSize, sizes.contextLength], 'int32');
  const batch = { inputs: ids(1), targets: ids(2) };
  return () => awaited(() => {
    const { value, grads } = valueAndGrad((p: typeof params) => model.loss(batch, p, { train: true, seed: 1 }), params);
    applyUpdates(params, optimizer.update(grads, state, params));
    return value;
  });
}

function product(size: number): () => Promise<void> {
  const [a, b] = [1, 2].map((seed) => tensor2d(uniformValues(size * size, seed, 0, 1), [size, size])) as [Tensor2D, Tensor2D];
  return async () => { matMul(a, b).dispose(); }; // a kernel has finished when the call returns
}

function attention(): () => Promise<void> {
  const [q, k, v] = [1, 2, 3].map((seed) => tensor4d(uniformValues(1024 * 384, seed, -1, 1), [1, 1024, 6, 64])) as [Tensor, Tensor, Tensor];
  const dy = ones(q.shape);
  return async () => {
    const { value, grads } = vjp(() => flashAttention(q, k, v, { causal: true }), [q, k, v], dy);
    dispose([value, ...grads]);
  };
}

async function awaited(f: () => Tensor): Promise<void> {
  const result = tidy(f);
  await result.data();
  result.dispose();
}

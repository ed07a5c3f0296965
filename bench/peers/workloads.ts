/** The workloads of `pnpm bench:peers`: sizes, deterministic inputs, and the float64 sums that every contender is checked against. */
import { uniformValues } from '@evenkeel/core-tensor';

export type Device = 'wasm' | 'webgpu';

/** Plan — samples per contender and round; `oursOnly`: there is nothing in the others to compare it with. */
export type Plan = { readonly warmup: number; readonly samples: number; readonly oursOnly?: true };

/** PLANS — by device: more samples of what is short; a slow contender gets fewer. */
export const PLANS: Readonly<Record<Device, Readonly<Record<string, Plan>>>> = {
  wasm: {
    reference: { warmup: 30, samples: 20 }, 'gpt-10m': { warmup: 1, samples: 3 }, 'vit-tiny': { warmup: 2, samples: 5 }, 'bert-mini': { warmup: 3, samples: 8 }, 'matmul-512': { warmup: 5, samples: 30 },
    'matmul-1024': { warmup: 3, samples: 15 }, attention: { warmup: 3, samples: 10 },
  },
  webgpu: {
    reference: { warmup: 3, samples: 10 }, 'matmul-512': { warmup: 5, samples: 20 }, 'matmul-1024': { warmup: 2, samples: 10 },
    attention: { warmup: 2, samples: 8 }, 'full-2048': { warmup: 1, samples: 6, oursOnly: true }, 'window-2048': { warmup: 1, samples: 6, oursOnly: true },
    record: { warmup: 20, samples: 30 },
  },
};

export type GptSizes = {
  readonly batchSize: number; readonly vocabSize: number; readonly contextLength: number; readonly depth: number; readonly dim: number;
  readonly numHeads: number;
};

export type VitSizes = {
  readonly batchSize: number; readonly imageSize: number; readonly patchSize: number; readonly numClasses: number; readonly depth: number; readonly dim: number;
  readonly numHeads: number;
};

/** BertSizes — `masked`: so many tokens of each sequence are to be guessed, and the head computes these alone. */
export type BertSizes = GptSizes & { readonly masked: number };

/** StepSizes — of a workload that is a training step, by its model. */
export type StepSizes = { readonly gpt: GptSizes } | { readonly vit: VitSizes } | { readonly bert: BertSizes };

/** STEP_SIZES — of the workloads that are training steps. */
export const STEP_SIZES: Readonly<Record<string, StepSizes>> = {
  reference: { gpt: { batchSize: 12, vocabSize: 65, contextLength: 64, depth: 4, dim: 128, numHeads: 4 } },
  'gpt-10m': { gpt: { batchSize: 8, vocabSize: 65, contextLength: 256, depth: 6, dim: 384, numHeads: 6 } },
  'vit-tiny': { vit: { batchSize: 64, imageSize: 32, patchSize: 4, numClasses: 10, depth: 12, dim: 192, numHeads: 3 } },
  'bert-mini': { bert: { batchSize: 16, vocabSize: 30_528, contextLength: 128, depth: 4, dim: 256, numHeads: 4, masked: 19 } },
};

export const ATTENTION = { tokens: 1024, heads: 6, headDim: 64 } as const;

/** LONG_ATTENTION — causal; of `window-2048` each query sees itself and the 127 keys before. */
export const LONG_ATTENTION = { ...ATTENTION, tokens: 2048, window: 128 } as const;

/** RECORD — so many launches on the GPU, each an addition to `size` numbers, that only JavaScript's part of is timed. */
export const RECORD = { launches: 1000, size: 4096 } as const;

/** ADAM — the settings of the optimiser, everywhere the same; the rate is so low that the loss falls from the first step on, without warm-up. */
export const ADAM = { learningRate: 1e-5, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 } as const;

/** uniform — numbers between `low` and `high`; the same for everyone who asks with the same seed. */
export function uniform(count: number, seed: number, low: number, high: number): Float32Array<ArrayBuffer> {
  return uniformValues(count, seed, low, high) as Float32Array<ArrayBuffer>;
}

/** tokenIds — one batch of random tokens. */
export function tokenIds({ batchSize, contextLength, vocabSize }: GptSizes, seed: number): Int32Array {
  return Int32Array.from(uniform(batchSize * contextLength, seed, 0, vocabSize));
}

/** BLOCK_TENSORS — how many tensors `gptTensors` lists per block. */
export const BLOCK_TENSORS = 12;

/**
 * gptTensors — shape and first value of each tensor of a hand-written GPT: token and position embeddings; per block gain and bias of
 * the norm, qkv, projection, gain and bias of the norm, up, down, each with its bias; gain and bias of the last norm.
 */
export function gptTensors({ vocabSize, contextLength, depth, dim }: GptSizes): { shape: number[]; values: Float32Array<ArrayBuffer> }[] {
  let seed = 10;
  const weight = (...shape: [number, number]) => ({ shape, values: uniform(shape[0] * shape[1], seed++, -0.035, 0.035) }); // deviation 0.02
  const bias = (size: number) => ({ shape: [size], values: new Float32Array(size) });
  const norm = () => [{ shape: [dim], values: new Float32Array(dim).fill(1) }, bias(dim)];
  const linear = (from: number, to: number) => [weight(from, to), bias(to)];
  const block = () => [...norm(), ...linear(dim, 3 * dim), ...linear(dim, dim), ...norm(), ...linear(dim, 4 * dim), ...linear(4 * dim, dim)];
  return [weight(vocabSize, dim), weight(contextLength, dim), ...Array.from({ length: depth }, block).flat(), ...norm()];
}

type Numbers = ArrayLike<number>;

/** checkProduct — throws unless the diagonal of `c` = a·b agrees with float64. */
export function checkProduct(a: Numbers, b: Numbers, c: Numbers, size: number): void {
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let l = 0; l < size; l++) sum += (a[i * size + l] as number) * (b[l * size + i] as number);
    if (!(Math.abs(sum - (c[i * size + i] as number)) <= 1e-4 * sum)) throw new Error(`wrong product at ${i}: ${c[i * size + i]}, not ${sum}`);
  }
}

/**
 * checkAttention — throws unless the last query of the first head agrees with float64, and the gradient with respect to the values,
 * for a gradient of ones, sums to one per query and channel. `at` is the place of a token's channel 0 of head 0.
 */
export function checkAttention(q: Numbers, k: Numbers, v: Numbers, y: Numbers, dv: Numbers, at: (token: number) => number): void {
  const { tokens, heads, headDim } = ATTENTION;
  const last = at(tokens - 1);
  const weights = Array.from({ length: tokens }, (_, t) => {
    let score = 0;
    for (let d = 0; d < headDim; d++) score += (q[last + d] as number) * (k[at(t) + d] as number);
    return Math.exp(score / Math.sqrt(headDim));
  });
  const total = weights.reduce((a, b) => a + b);
  for (let d = 0; d < headDim; d++) {
    const wanted = weights.reduce((sum, weight, t) => sum + weight * (v[at(t) + d] as number), 0) / total;
    if (!(Math.abs(wanted - (y[last + d] as number)) <= 1e-4)) throw new Error(`wrong attention at ${d}: ${y[last + d]}, not ${wanted}`);
  }
  const sum = Array.from(dv).reduce((a, b) => a + b);
  const wanted = tokens * heads * headDim;
  if (!(Math.abs(sum - wanted) <= 1e-3 * wanted)) throw new Error(`wrong gradient of attention: its sum is ${sum}, not ${wanted}`);
}

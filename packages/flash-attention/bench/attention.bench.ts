/**
 * Attention on WebGPU, forward and backward, against the same mathematics made of tfjs' own kernels (matMul, softmax, …), interleaved:
 * median ms per call of the wall clock, and the bytes that the device held at most.
 *
 *     node --conditions=@evenkeel/source packages/flash-attention/bench/attention.bench.ts [--only 'width 32'] [--repeats 5] [--long] [--precision f16]
 *
 * With `--long` also 16,384 tokens of one head of width 64, which the composed ops cannot do in this memory.
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { GPU_BACKEND, vjp, type AttentionFn, type GpuBackend } from '@evenkeel/core-tensor';
import { attentionReference, flashAttention, type FlashAttentionOptions } from '@evenkeel/flash-attention';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { backend, dispose, randomUniform, setBackend, type Tensor } from '@tensorflow/tfjs-core';

type Case = { name: string; seqLen: number; numHeads: number; headDim: number; options: FlashAttentionOptions & { returnLse?: false }; isLong?: boolean };

const CASES: Case[] = [
  { name: '1024 tokens, 4 heads of width 32, causal', seqLen: 1024, numHeads: 4, headDim: 32, options: { causal: true } },
  { name: '1024 tokens, 2 heads of width 64, causal', seqLen: 1024, numHeads: 2, headDim: 64, options: { causal: true } },
  { name: '1024 tokens, 1 head of width 128, causal', seqLen: 1024, numHeads: 1, headDim: 128, options: { causal: true } },
  { name: '2048 tokens, 1 head of width 32, full', seqLen: 2048, numHeads: 1, headDim: 32, options: {} },
  { name: '2048 tokens, 1 head of width 32, window 128', seqLen: 2048, numHeads: 1, headDim: 32, options: { window: [127, 0] } },
  { name: '16384 tokens, 1 head of width 64, causal', seqLen: 16384, numHeads: 1, headDim: 64, options: { causal: true }, isLong: true },
];

const { values: flags } = parseArgs({ options: { only: { type: 'string', default: '' }, repeats: { type: 'string', default: '5' }, long: { type: 'boolean' }, precision: { type: 'string', default: 'f32' } } });

await webgpu({ precision: flags.precision as 'f32' }).create();
await setBackend(GPU_BACKEND);
const { pool } = backend() as unknown as GpuBackend & { pool: { peakBytesUsed: number; numBytesUsed: number } };

/** Runs forward and backward to the end and returns the time and one value of each gradient. */
async function run(attention: AttentionFn, { options }: Case, [q, k, v, dy]: readonly [Tensor, Tensor, Tensor, Tensor]): Promise<{ ms: number; norms: number[] }> {
  const start = performance.now();
  const { value, grads } = vjp(() => attention(q, k, v, options), [q, k, v], dy);
  const results = await Promise.all([value, ...grads].map((x) => x.data()));
  const ms = performance.now() - start;
  dispose([value, grads]);
  return { ms, norms: results.map((x) => Math.sqrt((x as Float32Array).reduce((sum, each) => sum + each * each, 0))) };
}

const median = (times: number[]): number => times.sort((a, b) => a - b)[Math.floor(times.length / 2)] as number;

process.stdout.write(`load ${loadavg()[0]?.toFixed(1)}\n`);
for (const each of CASES.filter(({ name, isLong }) => name.includes(flags.only) && (isLong !== true || flags.long === true))) {
  const shape: [number, number, number, number] = [1, each.seqLen, each.numHeads, each.headDim];
  const tensors = [1, 2, 3, 4].map((seed) => randomUniform(shape, -1, 1, 'float32', seed)) as [Tensor, Tensor, Tensor, Tensor];
  const arms: [string, AttentionFn][] = [['flash', flashAttention], ...(each.isLong ? [] : [['composed', attentionReference] as [string, AttentionFn]])];
  const times = arms.map((): number[] => []);
  const peaks = arms.map(() => 0);
  const norms: number[][] = [];
  for (let repeat = 0; repeat <= (each.isLong ? 0 : Number(flags.repeats)); repeat++) {
    for (const [i, [, attention]] of arms.entries()) {
      pool.peakBytesUsed = pool.numBytesUsed;
      const result = await run(attention, each, tensors);
      norms[i] = result.norms;
      if (repeat > 0 || each.isLong) times[i]?.push(result.ms); // the first compiles
      peaks[i] = pool.peakBytesUsed;
    }
  }
  norms[1]?.forEach((norm, i) => {
    if (!(norm > 0 && Math.abs(norm - (norms[0]?.[i] as number)) <= 1e-3 * norm)) throw new Error(`${each.name}: norms differ, ${norms[0]?.[i]} and ${norm}`);
  });
  const text = arms.map(([name], i) => `${name} ${median(times[i] as number[]).toFixed(0).padStart(6)} ms, ${((peaks[i] as number) / 2 ** 20).toFixed(0).padStart(4)} MiB`).join('   ');
  const ratio = times[1] === undefined ? '' : `   ${(median(times[1]) / median(times[0] as number[])).toFixed(1)}×`;
  process.stdout.write(`  ${each.name.padEnd(44)} ${text}${ratio}\n`);
  dispose(tensors);
}
process.exit(0);

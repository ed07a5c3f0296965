/**
 * Matrix products: median, p10 and p90 GFLOP/s (2·m·n·k per product) of our kernel and of tfjs' own, in turn, on one device.
 *
 *     node --conditions=@evenkeel/source packages/webgpu-kernels/bench/matmul.bench.ts [--only 512] [--variant tile-64x64] [--samples 31] [--cpu] [--json]
 *
 * `--cpu` counts processor seconds of this process over all cores instead of the clock: for adapters that compute on the CPU, on machines
 * that others use as well. `--tune` tunes each product first.
 */
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { GPU_BACKEND, useDevice } from '@evenkeel/core-tensor';
import { tune, webgpu } from '@evenkeel/webgpu-kernels';
import { backend, engine, getKernel, randomUniform, type KernelBackend, type Tensor, type TensorInfo } from '@tensorflow/tfjs-core';

type Case = { name: string; m: number; n: number; k: number; transposeA?: boolean; transposeB?: boolean };

/** A linear layer of `rows` tokens, as a GPT step runs it: y = x·wᵀ, dx = dy·w, dw = dyᵀ·x. */
const layer = (rows: number, from: number, to: number): Case[] => [
  { name: `${from}→${to} forward`, m: rows, n: to, k: from, transposeB: true },
  { name: `${from}→${to} dx`, m: rows, n: from, k: to },
  { name: `${from}→${to} dw`, m: to, n: from, k: rows, transposeA: true },
];

const CASES: readonly Case[] = [
  ...[512, 1024].map((size) => ({ name: `square ${size}`, m: size, n: size, k: size })),
  ...layer(768, 128, 384), ...layer(768, 128, 512), ...layer(768, 512, 128), ...layer(768, 128, 65),
  { name: 'one row 384→1536', m: 1, n: 1536, k: 384, transposeB: true },
];

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: '' }, variant: { type: 'string' }, samples: { type: 'string', default: '31' }, cpu: { type: 'boolean' }, tune: { type: 'boolean' },
    json: { type: 'boolean' },
  },
});

const tuning = flags.variant !== undefined ? { matMul: flags.variant } : flags.tune ? 'auto' : undefined;
const provider = webgpu(tuning === undefined ? {} : { tuning });
const { kind, details } = await provider.probe();
await useDevice('webgpu', [provider]);
const gpu = backend() as unknown as KernelBackend & { device: GPUDevice; flush(): void; disposeData(id: object): void };

type Contender = { readonly name: string; readonly run: (each: Case, a: Tensor, b: Tensor) => TensorInfo };

const contender = (name: string, backendName: string): Contender => {
  const kernel = getKernel('BatchMatMul', backendName);
  if (kernel === undefined) throw new Error(`bench: ${backendName} must have BatchMatMul`);
  return { name, run: ({ transposeA = false, transposeB = false }, a, b) => kernel.kernelFunc({ inputs: { a, b }, attrs: { transposeA, transposeB }, backend: gpu }) as TensorInfo };
};

const CONTENDERS = [contender('ours', GPU_BACKEND), contender('tfjs', 'webgpu')];

/** Worst error of some entries against float64 sums, so that nothing wrong is timed. */
async function check({ name, run }: Contender, each: Case, a: Tensor, b: Tensor): Promise<void> {
  const { m, n, k, transposeA, transposeB } = each;
  const c = engine().makeTensorFromTensorInfo(run(each, a, b));
  const [x, y, z] = await Promise.all([a.data(), b.data(), c.data()]);
  c.dispose();
  for (let trial = 0; trial < 200; trial++) {
    const [i, j] = [(trial * 7919) % m, (trial * 104729) % n];
    let sum = 0;
    for (let l = 0; l < k; l++) sum += (x[transposeA ? l * m + i : i * k + l] as number) * (y[transposeB ? j * k + l : l * n + j] as number);
    if (!(Math.abs(sum - (z[i * n + j] as number)) <= 1e-4 * Math.sqrt(k))) throw new Error(`${name}, ${each.name}: wrong result at ${i}, ${j}`);
  }
}

/** Milliseconds of `count` products until the device has done them. */
async function time({ run }: Contender, each: Case, a: Tensor, b: Tensor, count: number): Promise<number> {
  const now = (): number => {
    const { user, system } = process.cpuUsage();
    return flags.cpu ? (user + system) / 1000 / cpus().length : performance.now();
  };
  const start = now();
  for (let i = 0; i < count; i++) gpu.disposeData(run(each, a, b).dataId);
  gpu.flush();
  await gpu.device.queue.onSubmittedWorkDone();
  return now() - start;
}

async function measure(each: Case): Promise<{ median: number; p10: number; p90: number }[]> {
  const { m, n, k, transposeA, transposeB } = each;
  const a = randomUniform(transposeA ? [k, m] : [m, k], -1, 1);
  const b = randomUniform(transposeB ? [n, k] : [k, n], -1, 1);
  if (flags.tune) await tune([{ m, n, k, transposeA, transposeB }]);
  for (const each_ of CONTENDERS) await check(each_, each, a, b);
  const count = Math.max(1, Math.round(1e8 / (2 * m * n * k)));
  for (const each_ of CONTENDERS) await time(each_, each, a, b, 5);
  const rates: number[][] = CONTENDERS.map(() => []);
  for (let i = 0; i < Number(flags.samples); i++) {
    for (const [c, each_] of CONTENDERS.entries()) rates[c]?.push((2 * m * n * k * count) / await time(each_, each, a, b, count) / 1e6);
  }
  a.dispose();
  b.dispose();
  return rates.map((list) => {
    const sorted = list.toSorted((left, right) => left - right);
    const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] as number;
    return { median: at(0.5), p10: at(0.1), p90: at(0.9) };
  });
}

const records: object[] = [];
process.stdout.write(`${String(details?.['adapter'])} (${kind}), load ${loadavg()[0]?.toFixed(1)}${flags.cpu ? ', by processor time' : ''}\n`);
for (const each of CASES.filter(({ name }) => name.includes(flags.only))) {
  const results = await measure(each);
  records.push({ ...each, results });
  const text = results.map(({ median, p10, p90 }, c) => `${CONTENDERS[c]?.name} ${median.toFixed(1)} (${p10.toFixed(1)} to ${p90.toFixed(1)})`);
  process.stdout.write(`  ${each.name.padEnd(20)} GFLOP/s: ${text.join('   ')}   ${((results[0]?.median ?? 0) / (results[1]?.median ?? 1)).toFixed(1)}×\n`);
}
if (flags.json) process.stdout.write(`${JSON.stringify(records)}\n`);
process.exit(0);

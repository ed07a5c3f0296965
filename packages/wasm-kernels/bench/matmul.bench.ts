/**
 * Matrix products: median, p10 and p90 GFLOP/s (2·m·n·k per product), through tfjs' matMul as a user calls it.
 *
 *     node --conditions=@evenkeel/source packages/wasm-kernels/bench/matmul.bench.ts [--threads 1,2] [--simd auto] [--json]
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { setBackend, ready, matMul, randomUniform, type Tensor } from '@tensorflow/tfjs-core';
import { BACKEND_NAME, createWasmBackend, type WasmOptions } from '@evenkeel/wasm-kernels';

type Case = { name: string; m: number; n: number; k: number; transposeA?: boolean; transposeB?: boolean };

const SQUARES: Case[] = [512, 1024, 1000].map((size) => ({ name: `square ${size}`, m: size, n: size, k: size }));

/** A linear layer of `rows` tokens, as a GPT step runs it: y = x·wᵀ, dx = dy·w, dw = dyᵀ·x. */
const layer = (rows: number, from: number, to: number): Case[] => [
  { name: `${from}→${to} forward`, m: rows, n: to, k: from, transposeB: true },
  { name: `${from}→${to} dx`, m: rows, n: from, k: to },
  { name: `${from}→${to} dw`, m: to, n: from, k: rows, transposeA: true },
];

const CASES: Case[] = [
  ...SQUARES, ...layer(768, 128, 384), ...layer(768, 128, 128), ...layer(768, 128, 512), ...layer(768, 512, 128), ...layer(768, 128, 65),
  ...layer(2048, 384, 1536), { name: 'one row 384→1536', m: 1, n: 1536, k: 384, transposeB: true },
];

const { values: flags } = parseArgs({
  options: { threads: { type: 'string', default: '1,2' }, simd: { type: 'string', default: 'auto' }, json: { type: 'boolean' }, only: { type: 'string' } },
});

/** Worst relative error of some entries against float64 sums, so that nothing wrong is timed. */
async function check({ name, m, n, k, transposeA, transposeB }: Case, a: Tensor, b: Tensor): Promise<void> {
  const c = matMul(a, b, transposeA, transposeB);
  const [x, y, z] = await Promise.all([a.data(), b.data(), c.data()]);
  c.dispose();
  for (let trial = 0; trial < 200; trial++) {
    const i = (trial * 7919) % m;
    const j = (trial * 104729) % n;
    let sum = 0;
    for (let l = 0; l < k; l++) sum += (x[transposeA ? l * m + i : i * k + l] as number) * (y[transposeB ? j * k + l : l * n + j] as number);
    if (!(Math.abs(sum - (z[i * n + j] as number)) <= 1e-4 * Math.sqrt(k))) throw new Error(`${name}: wrong result at ${i}, ${j}`);
  }
}

async function measure(each: Case): Promise<{ median: number; p10: number; p90: number }> {
  const { m, n, k, transposeA, transposeB } = each;
  const a = randomUniform(transposeA ? [k, m] : [m, k], -1, 1);
  const b = randomUniform(transposeB ? [n, k] : [k, n], -1, 1);
  await check(each, a, b);
  const rates: number[] = [];
  const product = (): void => matMul(a, b, transposeA, transposeB).dispose();
  for (let i = 0; i < 5; i++) product();
  const inner = Math.max(1, Math.round(1e8 / (2 * m * n * k)));
  for (let i = 0; i < 31; i++) {
    const start = performance.now();
    for (let j = 0; j < inner; j++) product();
    rates.push((2 * m * n * k * inner) / (performance.now() - start) / 1e6);
  }
  a.dispose();
  b.dispose();
  rates.sort((left, right) => left - right);
  return { median: rates[15] as number, p10: rates[3] as number, p90: rates[27] as number };
}

const records: object[] = [];
for (const threads of flags.threads.split(',').map(Number)) {
  const backend = await createWasmBackend({ threads, simd: flags.simd as WasmOptions['simd'] });
  await setBackend(BACKEND_NAME);
  await ready();
  const { variant, pool } = backend.runtime;
  process.stdout.write(`${variant} SIMD, ${pool.threads} thread(s); ${cpus()[0]?.model}, ${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(1)}\n`);
  for (const each of CASES.filter(({ name }) => name.includes(flags.only ?? ''))) {
    const rate = await measure(each);
    records.push({ ...each, threads: pool.threads, variant, ...rate });
    process.stdout.write(`  ${each.name.padEnd(22)} ${rate.median.toFixed(1).padStart(6)} GFLOP/s   p10 ${rate.p10.toFixed(1)}   p90 ${rate.p90.toFixed(1)}\n`);
  }
}
if (flags.json) process.stdout.write(`${JSON.stringify(records)}\n`);

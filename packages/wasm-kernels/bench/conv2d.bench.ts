/**
 * tf.conv2d with both gradients, as a user calls it: milliseconds of the first call and the median of those after it.
 *
 *     node --conditions=@evenkeel/source packages/wasm-kernels/bench/conv2d.bench.ts [--threads 2] [--calls 20] [--only 32×16]
 */
import '@evenkeel/core-tensor';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { conv2d, dispose, grads, ready, setBackend, randomUniform, type Tensor, type Tensor4D } from '@tensorflow/tfjs-core';
import { BACKEND_NAME, createWasmBackend } from '@evenkeel/wasm-kernels';

type Case = { readonly x: readonly number[]; readonly outChannels: number; readonly size: number; readonly stride: number };

const CASES: readonly Case[] = [
  { x: [32, 16, 16, 16], outChannels: 32, size: 3, stride: 1 },
  { x: [64, 32, 32, 3], outChannels: 16, size: 3, stride: 1 },
  { x: [64, 32, 32, 16], outChannels: 32, size: 3, stride: 2 },
  { x: [32, 16, 16, 64], outChannels: 64, size: 1, stride: 1 },
];

const { values: flags } = parseArgs({ options: { threads: { type: 'string', default: '2' }, calls: { type: 'string', default: '20' }, only: { type: 'string', default: '' } } });

const uniform = (shape: readonly number[]): Tensor4D => randomUniform([...shape] as [number, number, number, number], -1, 1);

/** Milliseconds of one call of `run`, whose results are freed. */
function timed(run: () => Tensor[]): number {
  const start = performance.now();
  dispose(run());
  return performance.now() - start;
}

const median = (values: number[]): string => (values.toSorted((a, b) => a - b)[values.length >> 1] as number).toFixed(2);

const backend = await createWasmBackend({ threads: Number(flags.threads) });
await setBackend(BACKEND_NAME);
await ready();
const { variant, pool } = backend.runtime;
process.stdout.write(`${variant} SIMD, ${pool.threads} thread(s); ${cpus()[0]?.model}, load ${loadavg()[0]?.toFixed(1)}\n`);
for (const { x: shape, outChannels, size, stride } of CASES) {
  const name = `${shape.join('×')} → ${outChannels}, ${size}×${size}, stride ${stride}`;
  if (!name.includes(flags.only)) continue;
  const [x, filter] = [uniform(shape), uniform([size, size, shape[3] as number, outChannels])];
  const forward = (): Tensor[] => [conv2d(x, filter, stride, 'same')];
  const gradient = grads((a: Tensor, b: Tensor) => conv2d(a as Tensor4D, b as Tensor4D, stride, 'same'));
  const both = (): Tensor[] => gradient([x, filter]);
  const first = timed(both);
  const times = [forward, both].map((run) => median(Array.from({ length: Number(flags.calls) }, () => timed(run))));
  process.stdout.write(`  ${name.padEnd(40)} forward ${times[0]} ms, with gradients ${times[1]} ms (first call ${first.toFixed(0)} ms)\n`);
  dispose([x, filter]);
}
backend.dispose();

/**
 * `pnpm bench:long` — ten thousand steps of a tiny GPT: tensors, the device's memory and JavaScript's must stay what they were when the
 * run had settled, and the last steps must take no longer than the first. On webgpu the steps are captured.
 *
 *     pnpm bench:long [--device wasm|webgpu] [--steps 10000] [--threads 2] [--json]
 *
 * Ends with 1 if a count grew, or if the steps of a device that can replay them were not replayed; of the times, which other programs
 * disturb, it says whether they drifted by more than 5 %.
 */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { dispose, memory, tensor2d, type Tensor2D } from '@tensorflow/tfjs-core';
import { canCapture, foldSeed, uniformValues, useDevice } from '@evenkeel/core-tensor';
import { gpt, type GptParams } from '@evenkeel/models-gpt';
import { adamw, chain, clipByGlobalNorm } from '@evenkeel/optimizers';
import { train } from '@evenkeel/training';
import { wasm, type WasmMemoryInfo } from '@evenkeel/wasm-kernels';

const USAGE = 'Usage: pnpm bench:long [--device wasm|webgpu] [--steps 10000] [--threads 2] [--json]';
const SIZES = { vocabSize: 17, contextLength: 16, depth: 2, dim: 32, numHeads: 2 } as const;
const BATCH = 4;
/** Counts must not change after this step. */
const SETTLED = 10;
/** Steps in which the engine still compiles; their times do not count. */
const WARM_UP = 500;

/** By how much the last steps may be slower than the first. */
const DRIFT = 1.05;

type Snapshot = {
  readonly step: number; readonly tensors: number; readonly heapBytes: number; readonly bytesInUse: number; readonly jsBytes: number;
  /** Processor time of all threads per step since the snapshot before, in ms: other programs do not count. */
  readonly cpuMs: number;
};

const { device, steps, threads, json } = readFlags();
const say = (line: string): void => void (json ? process.stderr : process.stdout).write(`${line}\n`);
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

await useDevice(device, [device === 'webgpu' ? (await import('@evenkeel/webgpu-kernels')).webgpu() : wasm(threads === undefined ? {} : { threads })]);
const model = gpt(SIZES);
const params = model.init({ seed: 1 });
const times: number[] = [];
const snapshots: Snapshot[] = [];
let started = performance.now();
let usage = process.cpuUsage();
let lossCalls = 0;
const { trainLoss } = await train({
  params,
  loss: (p: typeof params, batch: { inputs: Tensor2D; targets: Tensor2D }, { seed }) => {
    lossCalls += 1;
    return model.loss(batch, p as GptParams, { train: true, seed });
  },
  batches: counting,
  optimizer: chain(clipByGlobalNorm(1), adamw({ learningRate: 1e-3 })),
  steps,
  seed: 1,
  callbacks: {
    onStep: ({ step }) => {
      times.push(performance.now() - started);
      if (step === SETTLED || step % 1000 === 0 || step === steps) snapshots.push(snapshot(step));
      started = performance.now();
    },
  },
});
dispose(params as never);
report();
const isReplayed = !canCapture() || lossCalls < steps / 4;
if (!isReplayed) say(`The steps must be replayed, but the loss was called ${lossCalls} times in ${steps} steps.`);
process.exit(grown().length === 0 && isReplayed ? 0 : 1);

/** Rows that count upwards modulo 17, each from its own start. */
function counting(step: number): { inputs: Tensor2D; targets: Tensor2D } {
  const starts = uniformValues(BATCH, foldSeed(7, 'data', step));
  const rows = (offset: number): Tensor2D => tensor2d(
    Array.from(starts, (start) => Array.from({ length: SIZES.contextLength }, (_, t) => (Math.floor(start * 17) + t + offset) % 17)), [BATCH, SIZES.contextLength], 'int32',
  );
  return { inputs: rows(0), targets: rows(1) };
}

function snapshot(step: number): Snapshot {
  const { user, system } = process.cpuUsage(usage);
  const cpuMs = (user + system) / 1000 / (step - (snapshots.at(-1)?.step ?? 0));
  collectGarbage();
  usage = process.cpuUsage();
  const { numTensors, ...held } = memory() as ReturnType<typeof memory> & WasmMemoryInfo & { numBytesAllocatedInGPU: number; numBytesInGPU: number };
  const { heapBytes = held.numBytesAllocatedInGPU, bytesInUse = held.numBytesInGPU } = held as Partial<WasmMemoryInfo>;
  return { step, tensors: numTensors, heapBytes, bytesInUse, jsBytes: process.memoryUsage().heapUsed, cpuMs };
}

/** What there is more of at the end than when the run had settled. */
function grown(): string[] {
  const [first, last] = [snapshots[0] as Snapshot, snapshots.at(-1) as Snapshot];
  return (['tensors', 'heapBytes', 'bytesInUse'] as const).filter((name) => last[name] > first[name]);
}

function report(): void {
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(2).padStart(10);
  say('   step   tensors  held MiB    in use        JS   CPU ms');
  for (const { step, tensors, heapBytes, bytesInUse, jsBytes, cpuMs } of snapshots) {
    say(`${String(step).padStart(7)}${String(tensors).padStart(10)}${mib(heapBytes)}${mib(bytesInUse)}${mib(jsBytes)}${cpuMs.toFixed(2).padStart(9)}`);
  }
  const [first, last] = [times.slice(WARM_UP, WARM_UP + 1000), times.slice(-1000)].map(timesOf) as [Times, Times];
  say(`ms per step: median ${first.median.toFixed(3)}, p10 ${first.p10.toFixed(3)} in the first thousand after ${WARM_UP}; median ${last.median.toFixed(3)}, p10 ${last.p10.toFixed(3)} in the last`);
  say(`change: median ${percent(last.median / first.median)}, p10 ${percent(last.p10 / first.p10)}; loss ${trainLoss.toFixed(4)}`);
  say(last.p10 / first.p10 <= DRIFT ? 'The steps did not become slower.' : `The steps became slower by more than ${Math.round(100 * (DRIFT - 1))} %: look at this again on a quiet machine.`);
  say(grown().length === 0 ? 'Nothing grew.' : `More than at step ${SETTLED}: ${grown().join(', ')}`);
  if (json) process.stdout.write(`${JSON.stringify({ command: 'bench:long', snapshots, first, last, grown: grown() })}\n`);
}

type Times = { readonly median: number; readonly p10: number };

/** The median, and the tenth percentile, which other programs disturb less. */
function timesOf(values: readonly number[]): Times {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * sorted.length)] ?? NaN;
  return { median: at(0.5), p10: at(0.1) };
}

function percent(ratio: number): string {
  return `${ratio < 1 ? '−' : '+'}${Math.abs(100 * (ratio - 1)).toFixed(1)} %`;
}

function readFlags(): { device: 'wasm' | 'webgpu'; steps: number; threads: number | undefined; json: boolean } {
  try {
    const { values } = parseArgs({
      options: { device: { type: 'string', default: 'wasm' }, steps: { type: 'string', default: '10000' }, threads: { type: 'string' }, json: { type: 'boolean', default: false } },
    });
    const numbers = [values.steps, values.threads ?? '1'].map(Number);
    if (!numbers.every((value) => Number.isInteger(value) && value > 0)) throw new Error('--steps and --threads must be positive integers');
    if (values.device !== 'wasm' && values.device !== 'webgpu') throw new Error('--device must be wasm or webgpu');
    return { device: values.device, steps: numbers[0] as number, threads: values.threads === undefined ? undefined : numbers[1], json: values.json };
  } catch (error) {
    process.stderr.write(`error: bench:long: ${error instanceof Error ? error.message.split('. ')[0] : String(error)}. ${USAGE}\n`);
    process.exit(2);
  }
}

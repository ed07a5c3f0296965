/**
 * `pnpm bench:kernels` — where the milliseconds of a training step of nanoGPT's CPU configuration go on the WASM backend: for each
 * kernel of its assembly/ the time and the calls of one step, and what is left for JavaScript.
 *
 *     pnpm bench:kernels [--threads 2] [--steps 60]
 */
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { ready, setBackend, tensor2d, tidy, type Tensor2D } from '@tensorflow/tfjs-core';
import { valueAndGrad } from '@evenkeel/core-tensor';
import { gpt } from '@evenkeel/models-gpt';
import { adamw, applyUpdates, chain, clipByGlobalNorm } from '@evenkeel/optimizers';
import { BACKEND_NAME, createWasmBackend, type WasmBackend } from '@evenkeel/wasm-kernels';

type Tally = { ms: number; calls: number };

const { values: flags } = parseArgs({ options: { threads: { type: 'string', default: String(availableParallelism()) }, steps: { type: 'string', default: '60' } } });
const [steps, threads] = [Number(flags.steps), Number(flags.threads)];
const WARM_UP = 20;
const [BATCH, CONTEXT, VOCABULARY] = [12, 64, 65];

const backend = await createWasmBackend({ threads });
await setBackend(BACKEND_NAME);
await ready();
const tallies = watch(backend);
const total = await trainSteps();
print(total / steps);
process.exit(0);

/** Adds a clock to every job that the backend runs. */
function watch(observed: WasmBackend): Map<string, Tally> {
  const found = new Map<string, Tally>();
  const run = observed.run.bind(observed);
  observed.run = (kernel, ...rest) => {
    const start = performance.now();
    run(kernel, ...rest);
    const tally = found.get(kernel) ?? { ms: 0, calls: 0 };
    found.set(kernel, { ms: tally.ms + performance.now() - start, calls: tally.calls + 1 });
  };
  return found;
}

/** Milliseconds of all counted steps: forward, backward, clipping and AdamW, the loss awaited every time. */
async function trainSteps(): Promise<number> {
  const model = gpt({ vocabSize: VOCABULARY, contextLength: CONTEXT, depth: 4, dim: 128, numHeads: 4 });
  const params = model.init({ seed: 1 });
  const optimizer = chain(clipByGlobalNorm(1), adamw({ learningRate: 1e-3, weightDecay: 0.1 }));
  const state = optimizer.init(params);
  const ids = (shift: number): Tensor2D =>
    tensor2d(Int32Array.from({ length: BATCH * CONTEXT }, (_, i) => ((i + shift) * 7919) % VOCABULARY), [BATCH, CONTEXT], 'int32');
  const batch = { inputs: ids(0), targets: ids(1) };
  let started = 0;
  for (let i = -WARM_UP; i < steps; i++) {
    if (i === 0) {
      tallies.clear();
      started = performance.now();
    }
    const loss = tidy(() => {
      const { value, grads } = valueAndGrad((p: typeof params) => model.loss(batch, p, { train: true, seed: i + WARM_UP }), params);
      applyUpdates(params, optimizer.update(grads, state, params));
      return value;
    });
    await loss.data();
    loss.dispose();
  }
  return performance.now() - started;
}

function print(msPerStep: number): void {
  const { variant, pool } = backend.runtime;
  const inKernels = [...tallies.values()].reduce((sum, { ms }) => sum + ms, 0) / steps;
  const line = (name: string, ms: number, calls = ''): string => `  ${name.padEnd(22)} ${ms.toFixed(2).padStart(8)} ms ${((100 * ms) / msPerStep).toFixed(1).padStart(6)} % ${calls.padStart(6)}\n`;
  process.stdout.write(`${cpus()[0]?.model}, ${variant} SIMD, ${pool.threads} thread(s): one step ${msPerStep.toFixed(1)} ms (mean of ${steps})\n`);
  const sorted = [...tallies].sort(([, a], [, b]) => b.ms - a.ms);
  for (const [name, { ms, calls }] of sorted) process.stdout.write(line(name, ms / steps, String(Math.round(calls / steps))));
  process.stdout.write(line('JavaScript', msPerStep - inKernels));
}

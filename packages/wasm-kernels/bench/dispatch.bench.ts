/**
 * What an op costs besides arithmetic, in µs: a job of empty chunks on the pool (awake, and after the workers fell asleep),
 * and a whole tfjs op on four numbers.
 *
 *     node --conditions=@evenkeel/source packages/wasm-kernels/bench/dispatch.bench.ts
 */
import { add, ready, scalar, setBackend, tensor } from '@tensorflow/tfjs-core';
import { BACKEND_NAME, createWasmBackend } from '@evenkeel/wasm-kernels';

/** Median, p10 and p90 of the time of one call, over 50 samples of `calls` calls. */
async function measure(name: string, calls: number, run: () => void, pauseMs = 0): Promise<void> {
  const samples: number[] = [];
  for (let i = 0; i < 60; i++) {
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    const start = performance.now();
    for (let j = 0; j < calls; j++) run();
    samples.push(((performance.now() - start) * 1000) / calls);
  }
  const sorted = samples.slice(10).sort((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] as number).toFixed(2);
  process.stdout.write(`  ${name.padEnd(44)} ${at(0.5).padStart(7)} µs   p10 ${at(0.1)}   p90 ${at(0.9)}\n`);
}

for (const threads of [1, 2]) {
  const backend = await createWasmBackend({ threads });
  await setBackend(BACKEND_NAME);
  await ready();
  process.stdout.write(`${threads} thread(s)\n`);
  const empty = (chunks: number) => () => backend.run('gelu', chunks, 0, 0, 0, 0);
  await measure('job of 1 chunk', 2000, empty(1));
  await measure('job of 2 chunks', 2000, empty(2));
  await measure('job of 16 chunks', 2000, empty(16));
  await measure('job of 2 chunks, workers asleep', 1, empty(2), 3);
  const [x, one] = [tensor([1, 2, 3, 4]), scalar(1)];
  await measure('tfjs add of four numbers, result freed', 2000, () => add(x, one).dispose());
}

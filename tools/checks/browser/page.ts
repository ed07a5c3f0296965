/**
 * The test page: `run` trains where it is told to, in a worker (as an application would) or on the main thread; `conform` runs the
 * conformance suite of the GPU kernels; `brokenShader` makes a device fail.
 */
import { conformanceRun } from '../conformance/run.ts';
import { brokenShader } from './broken.ts';
import { train, type Run, type RunResult } from './train.ts';

export type PageRun = Run & { where: 'worker' | 'main' };

function inWorker(run: Run): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker('worker.js', { type: 'module' });
    worker.onmessage = ({ data }: MessageEvent<{ result?: RunResult; error?: string }>) => {
      worker.terminate();
      if (data.result === undefined) reject(new Error(data.error));
      else resolve(data.result);
    };
    worker.onerror = (event) => reject(new Error(`worker: ${event.message}`));
    worker.postMessage(run);
  });
}

Object.assign(globalThis, {
  run: async ({ where, ...run }: PageRun) => ({ ...await (where === 'worker' ? inWorker(run) : train(run)), isolated: crossOriginIsolated }),
  conform: conformanceRun,
  brokenShader,
});

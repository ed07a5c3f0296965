/**
 * The test page: `run` trains where it is told to, in a worker (as an application would) or on the main thread; `conform` runs the
 * conformance suite of the GPU kernels; `fineTunePicked` trains the checkpoint whose files the user has picked; `brokenShader` makes a device fail; `readAtOnce` reads without
 * waiting; `tuneProduct` times kernels; `attentionOnWebgl` computes attention by tfjs alone.
 */
import { conformanceRun } from '../conformance/run.ts';
import { brokenShader, readAtOnce, whyNot } from './broken.ts';
import { fineTune, type FineTuneResult } from './fineTune.ts';
import { train, type Run, type RunResult } from './train.ts';
import { tuneProduct } from './tuning.ts';
import { attentionOnWebgl } from './webgl.ts';

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

/** The picker takes `config.json` and `model.safetensors` of a directory. */
async function fineTunePicked(): Promise<FineTuneResult> {
  const picked = [...(document.querySelector<HTMLInputElement>('#checkpoint')?.files ?? [])];
  const [config, weights] = ['config.json', 'model.safetensors'].map((name) => picked.find((file) => file.name === name));
  if (config === undefined || weights === undefined) throw new Error(`config.json and model.safetensors must be picked, got ${picked.map(({ name }) => name).join(', ') || 'nothing'}`);
  return fineTune('webgpu', await config.text(), weights, true);
}

Object.assign(globalThis, {
  run: async ({ where, ...run }: PageRun) => ({ ...await (where === 'worker' ? inWorker(run) : train(run)), isolated: crossOriginIsolated }),
  conform: conformanceRun,
  fineTunePicked,
  brokenShader,
  readAtOnce,
  whyNot,
  tuneProduct,
  attentionOnWebgl,
});

/** The training run that browsers and Node must agree on; bundled into the page, and run from source in Node. */
import { captureStep, foldSeed, uniformValues, useDevice, valueAndGrad, type Tree } from '@evenkeel/core-tensor';
import { gpt, type GptParams } from '@evenkeel/models-gpt';
import { adamw, applyUpdates } from '@evenkeel/optimizers';
import { wasm, type WasmBackend } from '@evenkeel/wasm-kernels';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { backend, dispose, memory, tensor2d, type Tensor } from '@tensorflow/tfjs-core';

/** `valueAndGrad` with the plain types of a model's parameters. */
const gradientsOf = valueAndGrad as unknown as (fn: (params: GptParams) => Tensor, params: GptParams) => { value: Tensor; grads: Tree<Tensor> };

export type Run = { device: 'wasm' | 'webgpu'; threads: number; steps: number; simd?: 'plain' };
/** RunResult — `threads` and `simd` as they are; on the GPU 0 and none. */
export type RunResult = { losses: number[]; threads: number; simd: string; leaked: number };

/** Steps after which nothing is made any more that stays. */
const SETTLED = 6;

/** train — a tiny GPT learns to continue counting; the losses of all steps. */
export async function train({ device, threads, steps, simd }: Run): Promise<RunResult> {
  await useDevice(device, [device === 'wasm' ? wasm({ threads, simd }) : webgpu()]);
  const model = gpt({ vocabSize: 17, contextLength: 16, depth: 2, dim: 32, numHeads: 2 });
  const params = model.init({ seed: 7 });
  const optimizer = adamw({ learningRate: 3e-3 });
  const state = optimizer.init(params);
  const losses: number[] = [];
  let settled = 0;
  const step = captureStep((batch: ReturnType<typeof counting>) => {
    const { value, grads } = gradientsOf((p) => model.loss(batch, p), params);
    applyUpdates(params, optimizer.update(grads, state, params));
    return value;
  });
  for (let i = 0; i < steps; i++) {
    const batch = counting(i);
    const loss = step(batch, {});
    losses.push((await loss.data())[0]!);
    dispose([batch, loss]);
    if (i === SETTLED) settled = memory().numTensors;
  }
  const { state: captured } = step.status();
  if (device === 'webgpu' && captured !== 'captured') throw new Error(`the step must be captured, is ${captured}`);
  const leaked = memory().numTensors - settled;
  if (device === 'webgpu') return { losses, threads: 0, simd: 'none', leaked };
  const { pool, variant } = (backend() as WasmBackend).runtime;
  return { losses, threads: pool.threads, simd: variant, leaked };
}

/** Rows that count upwards modulo 17, each from its own start. */
function counting(step: number) {
  const starts = uniformValues(4, foldSeed(7, 'data', step));
  const rows = (offset: number) => tensor2d(Array.from(starts, (start) => Array.from({ length: 16 }, (_, t) => (Math.floor(start * 17) + t + offset) % 17)), [4, 16], 'int32');
  return { inputs: rows(0), targets: rows(1) };
}
